/** What tests do to activities: stop one at its beginning, make one fail. */
import { ApplicationFailure } from '@temporalio/common';

export interface Gate {
  /** Settles when an activity stands at the gate. */
  readonly reached: Promise<void>;
  /** Lets it in, and all that follow. */
  open(): void;
}

interface Rule {
  readonly step: string;
  times: number;
  readonly error: () => Error;
}

export class Faults {
  readonly #gates = new Map<string, { gate: Gate; arrive: () => void; opened: Promise<void> }>();
  readonly #rules: Rule[] = [];
  /** Steps that were made to fail, and have. */
  readonly met = new Set<string>();

  /** @param step `<activity>`, `<activity> <node>` or `<activity> <volume>`. */
  gate(step: string): Gate {
    const reached = Promise.withResolvers<void>();
    const opened = Promise.withResolvers<void>();
    const gate = {
      reached: reached.promise,
      open: () => {
        this.#gates.delete(step);
        opened.resolve();
      },
    };
    this.#gates.set(step, { gate, arrive: reached.resolve, opened: opened.promise });
    return gate;
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

  /** Called by every activity before it does anything. */
  async meet(activity: string, node: string | undefined, volume: string | undefined): Promise<void> {
    const steps = [activity, `${activity} ${node}`, `${activity} ${volume}`];
    for (const step of steps) {
      const found = this.#gates.get(step);
      found?.arrive();
      await found?.opened;
    }
    const rule = this.#rules.find(({ step, times }) => steps.includes(step) && times > 0);
    if (!rule) return;
    rule.times -= 1;
    this.met.add(rule.step);
    throw rule.error();
  }
}
