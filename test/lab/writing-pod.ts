/** A pod on n1 that writes all the time and is drained while something breaks: what counts afterwards is every write whose number has left the node. */
import { expect } from 'vitest';
import * as checks from '../../lab/demo/checks.ts';
import { COLLECTOR, Collector } from '../../lab/demo/collector.ts';
import { stopWorkloads } from '../../lab/demo/drain.ts';
import { DATA_FILE, statefulSet, type Workload } from '../../lab/demo/workloads.ts';
import { type Cluster, eventually, THIN_POOL } from './support.ts';

const SOURCE = 'n1';
/** Large enough to be struck in the middle of its copy. */
const SIZE = '64Mi';

/** For how long a write of the pod may be held up by whatever happens to the copy. */
const LONGEST_STALL_SECONDS = 3;

export class WritingPod {
  readonly #cluster: Cluster;
  readonly #collector: Collector;
  readonly #workload: Workload;
  readonly #thin: boolean;

  private constructor(cluster: Cluster, collector: Collector, workload: Workload, thin: boolean) {
    this.#cluster = cluster;
    this.#collector = collector;
    this.#workload = workload;
    this.#thin = thin;
  }

  /** Runs the test with a pod that has begun to write to an ext4 volume. */
  static async with<T>(cluster: Cluster, test: (pod: WritingPod) => Promise<T>, { thin = false } = {}): Promise<T> {
    const collector = await Collector.listen();
    try {
      const workload = statefulSet(`${COLLECTOR.address} ${COLLECTOR.port}`, SIZE);
      const pod = new WritingPod(cluster, collector, workload, thin);
      await cluster.lab.createVolume({ name: workload.claim, node: SOURCE, size: workload.size, thin });
      await cluster.lab.apply(workload.manifest);
      await pod.writesAgain();
      return await test(pod);
    } finally {
      await collector.close();
    }
  }

  get volume(): string {
    return this.#workload.claim;
  }

  get sizeBytes(): number {
    return Number.parseInt(this.#workload.size, 10) * 2 ** 20;
  }

  /** From here on nobody writes, until it starts again on the volume's next node. */
  async drain(): Promise<void> {
    const drain = ['drain', SOURCE, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=60s'];
    await this.#cluster.lab.kubectl(drain, { timeoutSeconds: 70 });
  }

  /** Copies the volume beside the pod. */
  async moveOnline(): Promise<void> {
    const { lab } = this.#cluster;
    await lab.kubectl(['annotate', 'node', SOURCE, 'rehome.io/online=true', '--overwrite']);
    await this.#cluster.cordon(SOURCE);
  }

  /** The copy is proven, and only the pod is waited for. @returns the target. */
  async copyProven(seconds = 120): Promise<string> {
    return eventually('a proven copy beside the pod', seconds, async () => {
      const status = (await this.#cluster.migration(this.volume))?.status;
      return status?.phase === 'AwaitingDetach' && status.message?.startsWith('has a proven copy') && status.targetNode;
    });
  }

  /** What a write takes when nothing is wrong is the writer's own time. @param since milliseconds since the epoch: what happened then. */
  expectNotHeldUp(since: number): void {
    const usual = this.#collector.usualGapSeconds(this.#workload.writer, since);
    expect(this.longestStall(since) - usual).toBeLessThan(LONGEST_STALL_SECONDS);
  }

  /** Seconds of the longest silence between two acknowledged writes since then (milliseconds since the epoch). */
  longestStall(since: number): number {
    const gap = this.#collector.longestGap(this.#workload.writer, since);
    const seconds = gap ? (gap.to - gap.from) / 1000 : 0;
    if (gap) console.log(`longest stall: ${seconds} s, at ${new Date(gap.from).toISOString()}`);
    return seconds;
  }

  /** A fair part of the volume has been copied. @returns the target. */
  async syncUnderWay(share = 1 / 5): Promise<string> {
    return eventually(`${share} of the volume synced`, 180, async () => {
      const status = (await this.#cluster.migration(this.volume))?.status;
      return status?.phase === 'Syncing' && (status.progress?.syncedBytes ?? 0) > this.sizeBytes * share && status.targetNode;
    });
  }

  /** Waits until the node may be switched off and the pod writes on another; then it was moved once, nothing is missing and nothing left over, anywhere. */
  async expectMoved(seconds = 180): Promise<void> {
    await this.#cluster.waitUntilEvacuated(SOURCE, seconds);
    const completed = (await this.#cluster.migrations(this.volume)).filter(({ status }) => status?.phase === 'Completed');
    expect(completed).toHaveLength(1);
    const node = await this.#cluster.nodeOf(this.volume);
    expect(node).not.toBe(SOURCE);
    await this.writesAgain();
    await this.#expectAllOn(node);
  }

  /** As `expectMoved`, where it stayed. */
  async expectUnmoved(): Promise<void> {
    expect(await this.#cluster.nodeOf(this.volume)).toBe(SOURCE);
    await this.#expectAllOn(SOURCE);
  }

  async #expectAllOn(node: string): Promise<void> {
    const { lab } = this.#cluster;
    await stopWorkloads(lab, 'statefulset/ledger');
    const records = await checks.readFileRecords(lab.machine(node), this.volume, DATA_FILE.replace('/data/', ''));
    const { writer } = this.#workload;
    const found = [
      checks.checkAcknowledged(writer, this.#collector.numbers(writer), records),
      checks.checkNoReservations((await lab.kubectl(['get', 'localstoragenodes', '-o', 'json'])).stdout),
    ];
    // Every node has one as long as there is a thin volume.
    const pools = this.#thin ? [THIN_POOL] : [];
    for (const machine of lab.machines) {
      const expected = machine.name === node ? [this.volume, ...pools] : pools;
      if (machine.isRunning()) found.push(await checks.checkNothingLeftOver(machine, expected));
    }
    expect(found.filter(({ holds }) => !holds)).toEqual([]);
  }

  async writesAgain(): Promise<void> {
    const { writer } = this.#workload;
    const before = this.#collector.count(writer);
    await eventually(`30 more acknowledged writes of ${writer}`, 90, async () => this.#collector.count(writer) >= before + 30);
  }
}
