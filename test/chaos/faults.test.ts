import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { Cluster } from '../lab/support.ts';
import { WritingPod } from '../lab/writing-pod.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

interface Fault {
  readonly what: string;
  readonly strike: (target: string) => Promise<void>;
  /** How long it lasts: longer than connections and leases take to be lost. Where nothing is said it is mended at once. */
  readonly seconds?: number;
  readonly mend: (target: string) => Promise<void>;
}

const kills = (what: string, name: (target: string) => string, seconds = 0): Fault => ({
  what,
  strike: (target) => lab.kill(name(target)),
  seconds,
  mend: (target) => lab.start(name(target)),
});

const cuts = (what: string, name: (target: string) => string, network: 'storage' | 'management'): Fault => ({
  what,
  strike: (target) => lab.machine(name(target)).cut(network),
  seconds: 15,
  mend: (target) => lab.machine(name(target)).heal(),
});

const FAULTS: readonly Fault[] = [
  kills('the agent on the source is killed', () => 'agent-n1'),
  kills('the agent on the target is killed', (target) => `agent-${target}`),
  kills("the source's whole node is killed", () => 'n1'),
  kills("the target's whole node is killed", (target) => target),
  kills('the controller is killed', () => 'controller'),
  kills('the Temporal server is killed', () => 'temporal', 5),
  kills('the API server is killed', () => 'apiserver', 10),
  cuts('the storage network of the source is cut', () => 'n1', 'storage'),
  cuts('the management network of the source is cut', () => 'n1', 'management'),
  cuts('the management network of the target is cut', (target) => target, 'management'),
  {
    what: "Temporal's database is lost",
    strike: async () => {
      await lab.kill('temporal');
      await lab.loseTemporalDatabase();
    },
    mend: () => lab.start('temporal'),
  },
];

async function befall(fault: Fault, target: string): Promise<void> {
  await fault.strike(target);
  await sleep((fault.seconds ?? 0) * 1000);
  await fault.mend(target);
}

describe('a drain completes without help, with every acknowledged write and nothing left over, when during the sync', () => {
  test.each(FAULTS)('$what', (fault) =>
    WritingPod.with(cluster, async (pod) => {
      await lab.machine('n1').rate('40mbit');
      await pod.drain();
      const target = await pod.syncUnderWay();
      await befall(fault, target);
      await lab.machine('n1').rate('off');
      await pod.expectMoved();
    }),
  );
});

describe('a drain completes without help, with every acknowledged write and nothing left over, when during the cut-over', () => {
  test.each(FAULTS)('$what', (fault) =>
    WritingPod.with(cluster, async (pod) => {
      await pod.drain();
      const { status } = await cluster.reaches(pod.volume, 'CuttingOver');
      const struckAt = Date.now();
      await befall(fault, status?.targetNode ?? '');
      await pod.expectMoved();
      const leftAt = Date.parse((await cluster.migration(pod.volume))?.status?.phaseTimes?.RemovingSource ?? '');
      expect(leftAt, 'the cut-over was over when the fault came').toBeGreaterThan(struckAt);
    }),
  );
});
