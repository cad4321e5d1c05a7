import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createNodeActivities } from '../../../../activities/node/index.ts';
import type { NodeActivities } from '../../../../core/contracts/node-activities.ts';
import { toActivityError } from '../../../../worker/activity-errors.ts';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import type { FakeNode } from './fake-node.ts';
import {
  forgeriesOf,
  HOSTILE_NAMES,
  isPool,
  isVolume,
  NAMED_FIELDS,
  requestOf,
  STEPS,
  type Standing,
  type Step,
  standingOf,
} from './forgeries.ts';
import { close, copy, mark, newCluster } from './scenario.ts';

/** Brings nodes and record to where the step has something to do. */
const BROUGHT_THERE: Record<Step['activity'], (cluster: FakeCluster, step: Step) => Promise<void>> = {
  allocateEndpoint: async (cluster) => cluster.prepare(mirror),
  ensureTargetMirror: allocateEnds,
  ensureSourceMirror: async (cluster) => {
    await allocateEnds(cluster);
    await cluster.agent(cluster.n2).ensureTargetMirror({ mirror, sourceEndpoint: { port: 7000, minor: 100, logicalBlockSizeBytes: 512 } });
  },
  awaitSync: copied,
  readTargetCounter: copied,
  verifyMirror: copied,
  repairMirror: copied,
  closeSource: copied,
  markCutOver: async (cluster, { role }) => {
    await copy(cluster);
    await close(cluster);
    if (role === 'target') await cluster.agent(cluster.n1).markCutOver({ mirror, role: 'source' });
  },
  hashVolume: (cluster, { role }) => (role === 'source' ? copyAndClose(cluster) : dissolve(cluster)),
  dissolveMirror: copyAndMark,
  removeSource: dissolve,
  releaseTarget: dissolve,
  restoreSource: copied,
  discardTarget: copied,
};

async function allocateEnds(cluster: FakeCluster): Promise<void> {
  cluster.prepare(mirror);
  await cluster.agent(cluster.n1).allocateEndpoint({ mirror, role: 'source' });
  await cluster.agent(cluster.n2).allocateEndpoint({ mirror, role: 'target' });
}

function copied(cluster: FakeCluster): Promise<void> {
  return copy(cluster);
}

async function copyAndClose(cluster: FakeCluster): Promise<void> {
  await copy(cluster);
  await close(cluster);
}

async function copyAndMark(cluster: FakeCluster): Promise<void> {
  await copyAndClose(cluster);
  await mark(cluster);
}

async function dissolve(cluster: FakeCluster): Promise<void> {
  await copyAndMark(cluster);
  await cluster.agent(cluster.n1).dissolveMirror({ mirror, role: 'source' });
  await cluster.agent(cluster.n2).dissolveMirror({ mirror, role: 'target' });
}

async function clusterAt(step: Step): Promise<FakeCluster> {
  const cluster = newCluster();
  // Somebody else's, and in nobody's way.
  for (const node of cluster.nodes) node.addVolume('other', mirror.sizeBytes, 'of somebody else');
  await BROUGHT_THERE[step.activity](cluster, step);
  enter(cluster, standingOf(step));
  return cluster;
}

const enter = (cluster: FakeCluster, { phase, pointOfNoReturn }: Standing): void => cluster.enter(phase, pointOfNoReturn);
const nodeOf = (cluster: FakeCluster, { role }: Step): FakeNode => (role === 'source' ? cluster.n1 : cluster.n2);

/** Asks a node's agent. @returns the reason of the failure, and every program that was run and file that was written. */
async function ask(cluster: FakeCluster, node: FakeNode, { activity }: { readonly activity: keyof NodeActivities }, request: object) {
  const deps = cluster.dependencies(node);
  const done: string[] = [];
  const host: typeof deps.host = {
    ...deps.host,
    run: (program, args, options) => {
      done.push([program, ...args].join(' '));
      return deps.host.run(program, args, options);
    },
    writeText: async (path) => void done.push(`write ${path}`),
    flush: async (path) => void done.push(`flush ${path}`),
    hashFile: async (path) => {
      done.push(`hash ${path}`);
      return '';
    },
  };
  const activities = createNodeActivities({ ...deps, host });
  const perform = activities[activity] as (request: object) => Promise<unknown>;
  const failed = await perform(request).then(
    () => undefined,
    (error: unknown) => toActivityError(error),
  );
  return { reason: failed instanceof ApplicationFailure ? failed.type : failed, done };
}

/** What was run but to hold the volume's lock. */
const withoutLocks = (done: readonly string[]): readonly string[] => done.filter((line) => !line.startsWith('flock '));
const REFUSALS = ['NotPermitted', 'InvalidArgument'];

function tokensOf(cluster: FakeCluster): unknown {
  const files = readdirSync(cluster.stateDirectory, { recursive: true, withFileTypes: true }).filter(
    (file) => file.isFile() && file.parentPath.endsWith('tokens'),
  );
  return files.map(({ parentPath, name }) => [parentPath, name, readFileSync(join(parentPath, name), 'utf8')]).sort();
}

test('every activity that a node has is tried', () => {
  const activities = Object.keys(createNodeActivities(newCluster().dependencies(newCluster().n1)));
  expect([...new Set(['observeVolume', ...STEPS.map(({ activity }) => activity)])].sort()).toEqual(activities.sort());
});

describe.each(STEPS.map((step) => [`${step.activity} on the ${step.role}`, step] as const))('%s', (_, step) => {
  test('is done where it is asked for as it is recorded', async () => {
    const cluster = await clusterAt(step);
    const { reason, done } = await ask(cluster, nodeOf(cluster, step), step, requestOf(step, mirror));
    expect(reason).toBeUndefined();
    expect(withoutLocks(done)).not.toEqual([]);
  });

  test('runs nothing that the record does not allow', async () => {
    const cluster = await clusterAt(step);
    const before = { nodes: cluster.snapshot(), tokens: tokensOf(cluster) };
    // Who looks at the module sets it right, which nobody may without permission.
    nodeOf(cluster, step).usermodeHelper = '/sbin/drbdadm';
    // Newer than all that was permitted: it must not overtake them.
    cluster.scheduledAt += 1_000_000;
    for (const { what, mirror: forged, standing } of forgeriesOf(step, mirror, 'n3')) {
      enter(cluster, standing);
      const { reason, done } = await ask(cluster, nodeOf(cluster, step), step, requestOf(step, forged));
      expect(REFUSALS, what).toContain(reason);
      expect(withoutLocks(done), what).toEqual([]);
      expect({ nodes: cluster.snapshot(), tokens: tokensOf(cluster) }, what).toEqual(before);
    }
  });

  test('runs nothing on a node that was never meant, whatever it is told', async () => {
    const cluster = await clusterAt(step);
    const wrong = step.role === 'source' ? cluster.n2 : cluster.n1;
    const renamed = { ...mirror, [step.role]: { ...mirror[step.role], node: wrong.name } };
    for (const asked of [mirror, renamed]) {
      const { reason, done } = await ask(cluster, wrong, step, requestOf(step, asked));
      expect(REFUSALS).toContain(reason);
      expect(withoutLocks(done)).toEqual([]);
    }
  });
});

describe('what an abort takes back', () => {
  const TAKES_BACK = STEPS.filter(({ phases }) => phases.includes('Aborting'));

  test.each(TAKES_BACK.map((step) => [step.activity, step] as const))(
    '%s is of this migration, volume, node and pool, but of any pairing',
    async (_, step) => {
      const bound = ['does not exist', 'another uid', 'another volume', 'another pool', 'for another node'];
      const forged = forgeriesOf(step, mirror, 'n3').filter(({ what }) => bound.some((part) => what.includes(part)));
      expect(forged).toHaveLength(bound.length);
      const cluster = await clusterAt(step);
      cluster.enter('Aborting');
      for (const { what, mirror: wrong } of forged) {
        const { reason, done } = await ask(cluster, nodeOf(cluster, step), step, requestOf(step, wrong));
        expect(REFUSALS, what).toContain(reason);
        expect(withoutLocks(done), what).toEqual([]);
      }
      const { reason } = await ask(cluster, nodeOf(cluster, step), step, requestOf(step, { ...mirror, pairing: mirror.pairing + 1 }));
      expect(reason).toBeUndefined();
    },
  );
});

describe('an attempt that its successor has overtaken', () => {
  const READ_ONLY: readonly Step['activity'][] = ['awaitSync', 'readTargetCounter', 'hashVolume'];
  const ACTING = STEPS.filter(({ activity }) => !READ_ONLY.includes(activity));

  test.each(ACTING.map((step) => [`${step.activity} on the ${step.role}`, step] as const))('%s does nothing', async (_, step) => {
    const cluster = await clusterAt(step);
    const node = nodeOf(cluster, step);
    cluster.scheduledAt += 1;
    cluster.enter('Preparing');
    // Whatever becomes of it.
    await cluster
      .agent(node)
      .allocateEndpoint({ mirror, role: step.role })
      .catch(() => undefined);
    enter(cluster, standingOf(step));
    const before = cluster.snapshot();
    cluster.scheduledAt -= 1;
    const { reason, done } = await ask(cluster, node, step, requestOf(step, mirror));
    expect(reason).toBe('StaleActivity');
    expect(withoutLocks(done)).toEqual([]);
    expect(cluster.snapshot()).toEqual(before);
  });
});

test('a wait for a sync that its successor has overtaken connects nothing again', async () => {
  const cluster = newCluster();
  await copy(cluster);
  cluster.enter('Syncing');
  for (const node of cluster.nodes) for (const resource of node.resources.values()) resource.connection = 'StandAlone';
  cluster.scheduledAt += 1;
  await cluster.agent(cluster.n1).allocateEndpoint({ mirror, role: 'source' });
  cluster.scheduledAt -= 1;
  const before = cluster.snapshot();
  const { reason, done } = await ask(cluster, cluster.n1, { activity: 'awaitSync' }, { mirror });
  expect(reason).toBe('StaleActivity');
  expect(done.filter((line) => line.startsWith('drbdsetup connect'))).toEqual([]);
  expect(cluster.snapshot()).toEqual(before);
});

describe('a name that is none', () => {
  const hostile = fc.oneof(
    fc.constantFrom(...HOSTILE_NAMES),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.tuple(fc.constantFrom('-', '.', '/', '"', ' ', '\n', ';', '$', '@'), fc.string()).map(([first, rest]) => `${first}${rest}`),
  );

  test('is refused before any program is run, in every field of every activity', { timeout: 30_000 }, async () => {
    const cluster = newCluster();
    await copy(cluster);
    const property = fc.asyncProperty(fc.constantFrom(...STEPS), fc.constantFrom(...NAMED_FIELDS), hostile, async (step, named, value) => {
      fc.pre(!named.allows(value));
      enter(cluster, standingOf(step));
      const { reason, done } = await ask(cluster, nodeOf(cluster, step), step, requestOf(step, named.set(mirror, value) as typeof mirror));
      expect(reason).toBe('InvalidArgument');
      expect(done).toEqual([]);
    });
    await fc.assert(property, { numRuns: 1000 });
  });

  test('is refused by a look too', async () => {
    const cluster = newCluster();
    const wanted = { volume: 'data', pool: mirror.pool };
    for (const [field, allows] of Object.entries({ volume: isVolume, pool: isPool })) {
      for (const value of HOSTILE_NAMES.filter((name) => !allows(name))) {
        const request = { ...wanted, [field]: value };
        const { reason, done } = await ask(cluster, cluster.n1, { activity: 'observeVolume' }, request);
        expect(reason, `${field} ${JSON.stringify(value)}`).toBe('InvalidArgument');
        expect(done).toEqual([]);
      }
    }
  });

  test('and neither is a number that is no port, minor, size or pairing', async () => {
    const cluster = newCluster();
    const endpoint = { port: 7000, minor: 100, logicalBlockSizeBytes: 512 };
    const target = STEPS.find(({ activity }) => activity === 'ensureTargetMirror')!;
    const numbers: readonly unknown[] = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '7000', '7000 --force', null];
    const requests = numbers.flatMap((value) => [
      ...['port', 'minor', 'logicalBlockSizeBytes'].map((field) => ({ mirror, sourceEndpoint: { ...endpoint, [field]: value } })),
      ...['sizeBytes', 'pairing'].map((field) => ({ mirror: { ...mirror, [field]: value }, sourceEndpoint: endpoint })),
    ]);
    for (const request of requests) {
      const { reason, done } = await ask(cluster, cluster.n2, target, request);
      expect(reason, JSON.stringify(request)).toBe('InvalidArgument');
      expect(done).toEqual([]);
    }
  });
});

test('a look only reads, whatever it is about', async () => {
  const cluster = newCluster();
  await copy(cluster);
  const READS = /^(lvs|vgs|dmsetup table|drbdsetup events2)( |$)/;
  for (const request of [
    { volume: 'data', pool: mirror.pool },
    { volume: 'nowhere', pool: mirror.pool },
    { volume: 'data', pool: 'LocalStorage_PoolSSD' },
  ]) {
    const { done } = await ask(cluster, cluster.n1, { activity: 'observeVolume' }, request);
    expect(done.filter((line) => !READS.test(line))).toEqual([]);
  }
});
