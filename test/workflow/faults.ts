/** What tests do to activities: stop one at its beginning, make one fail. */
import { ApplicationFailure } from '@temporalio/common';

export interface Gate {
  /** Settles when an activity stands at the gate. */
  readonly reached: Promise<void>;
  /** Lets it in, and all that follow. */
  open(): void;
  /** Settles when an activity that was let in has ended, well or not. */
  readonly left: Promise<void>;
}

interface ClosedGate {
  readonly once: boolean;
  readonly arrive: () => void;
  readonly opened: Promise<void>;
  readonly leave: () => void;
}

interface Rule {
  readonly step: string;
  times: number;
  readonly error: () => Error;
}

export class Faults {
  readonly #gates = new Map<string, ClosedGate>();
  readonly #rules: Rule[] = [];
  /** Steps that were made to fail, and have. */
  readonly met = new Set<string>();

  /**
   * @param step `<activity>`, `<activity> <node>` or `<activity> <volume>`; of a report `reportPhase <phase>`.
   * @param once it holds the first that comes, and nobody else.
   */
  gate(step: string, { once = false } = {}): Gate {
    const [reached, opened, left] = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const closed = { once, arrive: reached.resolve, opened: opened.promise, leave: left.resolve };
    this.#gates.set(step, closed);
    const open = () => {
      if (this.#gates.get(step) === closed) this.#gates.delete(step);
      opened.resolve();
    };
    return { reached: reached.promise, open, left: left.promise };
  }

  fail(
    step: string,
    type: string,
    options: { readonly times?: number; readonly message?: string; readonly permanent?: boolean } = {},
  ): void {
    const { times = 1, message = `${step} was made to fail`, permanent = false } = options;
    this.#rules.push({ step, times, error: () => ApplicationFailure.create({ type, message, nonRetryable: permanent }) });
  }

  mend(step: string): void {
    for (const rule of this.#rules) if (rule.step === step) rule.times = 0;
  }

  /** Called by every activity around all that it does. @param cancelled rejects where it is given up meanwhile. */
  async around<T>(
    { activity, node, volume }: { readonly activity: string; readonly node?: string | undefined; readonly volume?: string | undefined },
    cancelled: Promise<never>,
    work: () => Promise<T>,
  ): Promise<T> {
    const steps = [activity, `${activity} ${node}`, `${activity} ${volume}`];
    const passed: ClosedGate[] = [];
    try {
      for (const step of steps) {
        const gate = this.#gates.get(step);
        if (!gate) continue;
        if (gate.once) this.#gates.delete(step);
        passed.push(gate);
        gate.arrive();
        // One that is held alone comes late, and hears of nothing.
        await (gate.once ? gate.opened : Promise.race([gate.opened, cancelled]));
      }
      this.#fail(steps);
      return await work();
    } finally {
      for (const gate of passed) gate.leave();
    }
  }

  #fail(steps: readonly string[]): void {
    const rule = this.#rules.find(({ step, times }) => steps.includes(step) && times > 0);
    if (!rule) return;
    rule.times -= 1;
    this.met.add(rule.step);
    throw rule.error();
  }
}
