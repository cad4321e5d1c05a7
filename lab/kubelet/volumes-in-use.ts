/**
 * Keeps `node.status.volumesInUse`: the controller manager attaches nothing that is not wanted, and detaches nothing that is in use.
 *
 * A volume is in use from before it is mounted until after it was unmounted, so that nobody is told too early that it is free.
 */
import type { NodeObjects } from './node-objects.ts';
import type { NodeSnapshot } from './node-snapshot.ts';
import { uniqueVolumeName } from './objects.ts';

export class VolumesInUse {
  readonly #node: NodeObjects;
  readonly #needed = new Map<string, readonly string[]>();
  #reported: string | undefined;
  #reporting: Promise<void> = Promise.resolve();

  constructor(node: NodeObjects) {
    this.#node = node;
  }

  /** The pod is about to use these volumes. */
  need(podUid: string, handles: readonly string[]): void {
    this.#needed.set(podUid, handles);
  }

  /** The pod is not to run: what it still has mounted is in the node's report. */
  forget(podUid: string): void {
    this.#needed.delete(podUid);
  }

  /** Returns when the API server knows. */
  async report(snapshot: NodeSnapshot): Promise<void> {
    const report = async (): Promise<void> => {
      const names = volumesInUse(snapshot, [...this.#needed.values()].flat());
      if (this.#reported === names.join()) return;
      this.#reported = undefined;
      await this.#node.reportVolumesInUse(names);
      this.#reported = names.join();
    };
    // One after another: an older list must not arrive last.
    this.#reporting = this.#reporting.then(report, report);
    await this.#reporting;
  }
}

/** @returns names as in `node.status.volumesInUse`, sorted. */
export function volumesInUse(snapshot: NodeSnapshot, needed: readonly string[]): string[] {
  const mounted = [...snapshot.pods.values()].flatMap(({ claims }) => [...claims.values()]);
  return [...new Set([...mounted, ...needed])].map(uniqueVolumeName).sort();
}
