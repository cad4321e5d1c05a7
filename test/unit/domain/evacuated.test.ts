import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EvacuationFacts, judgeEvacuation } from '../../../core/domain/evacuated.ts';

const empty: EvacuationFacts = {
  cordoned: true,
  disabled: false,
  evacuated: false,
  agentAlive: true,
  reportedVolumes: [],
  replicaVolumes: [],
  migrations: [],
  stays: new Map(),
  delaySeconds: 0,
};
const kept = new Map([['data', { kind: 'kept', why: 'somebody says so' } as const]]);
const refused = new Map([['data', { kind: 'refused', why: 'etcd runs on it' } as const]]);
const syncing = { volume: 'data', waitsFor: 'Syncing' };

describe('a node is evacuated', () => {
  test.each<[string, Partial<EvacuationFacts>]>([
    ['when the agent, the replicas and the migrations all say nothing is left', {}],
    ['and stays so when it is then powered off', { evacuated: true, agentAlive: false }],
  ])('%s', (_, change) => {
    const message = 'no volume is left and nothing is under way';
    expect(judgeEvacuation({ ...empty, ...change })).toEqual({ evacuated: true, reason: 'NothingLeft', message });
  });

  test('when nothing but kept volumes is left, and names them', () => {
    expect(judgeEvacuation({ ...empty, reportedVolumes: ['data'], replicaVolumes: ['data'], stays: kept })).toEqual({
      evacuated: true,
      reason: 'KeptVolumesLeft',
      message: 'nothing is under way, and no volume is to go: data is kept (somebody says so)',
    });
  });
});

describe('a node is not evacuated, and says why,', () => {
  test.each<[string, Partial<EvacuationFacts>, string, RegExp]>([
    ['while pods may still be scheduled there', { cordoned: false }, 'NodeNotCordoned', /not cordoned/],
    ['while its volumes are kept', { disabled: true, replicaVolumes: ['data'] }, 'EvictionDisabled', /eviction=disable/],
    ['while a migration is under way', { migrations: [syncing] }, 'MigrationsUnderWay', /^waits for data \(Syncing\)$/],
    [
      'with volumes for which nothing happens beside it',
      { migrations: [syncing], reportedVolumes: ['data', 'log'] },
      'MigrationsUnderWay',
      /; still in the pools: log$/,
    ],
    ['while the agent sees a volume', { reportedVolumes: ['data'] }, 'VolumesRemain', /^still in the pools: data$/],
    ['while a replica is recorded that the agent does not see', { replicaVolumes: ['data'] }, 'VolumesRemain', /for data$/],
    ['also when it was evacuated before', { evacuated: true, replicaVolumes: ['data'] }, 'VolumesRemain', /for data$/],
    [
      'while a short absence is waited for',
      { replicaVolumes: ['data'], delaySeconds: 300 },
      'VolumesRemain',
      /for data \(volumes begin to move 300 s after the cordon\)$/,
    ],
    [
      'with a volume beside a kept one',
      { replicaVolumes: ['data', 'log'], stays: kept },
      'VolumesRemain',
      /^no migration under way for log; data is kept \(somebody says so\)$/,
    ],
    [
      'with a volume that is refused',
      { replicaVolumes: ['data'], reportedVolumes: ['data'], stays: refused },
      'VolumesRemain',
      /^data must not move \(etcd runs on it; /,
    ],
    [
      'while a volume moves that is to be kept',
      { replicaVolumes: ['data'], migrations: [syncing], stays: kept },
      'MigrationsUnderWay',
      /^waits for data \(Syncing\)$/,
    ],
    ['before the first report', { reportedVolumes: undefined }, 'AgentNotReporting', /not said yet/],
    ['while the agent is away', { agentAlive: false }, 'AgentNotReporting', /Lease has run out/],
  ])('%s', (_, change, reason, message) => {
    const judged = judgeEvacuation({ ...empty, ...change });
    expect(judged).toMatchObject({ evacuated: false, reason });
    expect(judged.message).toMatch(message);
  });

  test('naming five of many volumes', () => {
    const replicaVolumes = ['v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7'];
    expect(judgeEvacuation({ ...empty, replicaVolumes }).message).toBe('no migration under way for v1, v2, v3, v4, v5 and 2 more');
  });
});

test('whatever else is true, no node is evacuated with a volume that is not kept, a migration, or without cordon', () => {
  const names = fc.array(fc.constantFrom('data', 'log'), { maxLength: 2 });
  const facts = fc.record({
    cordoned: fc.boolean(),
    disabled: fc.boolean(),
    evacuated: fc.boolean(),
    agentAlive: fc.boolean(),
    reportedVolumes: fc.option(names, { nil: undefined }),
    replicaVolumes: names,
    migrations: fc.array(fc.constant(syncing), { maxLength: 1 }),
    stays: fc.constantFrom(new Map(), kept, refused),
    delaySeconds: fc.constantFrom(0, 300),
  });
  fc.assert(
    fc.property(facts, (given) => {
      const isLeft = (volume: string) => given.stays.get(volume)?.kind !== 'kept';
      const isEmpty = given.reportedVolumes?.some(isLeft) === false && !given.replicaVolumes.some(isLeft) && given.migrations.length === 0;
      const seen = given.agentAlive || given.evacuated;
      expect(judgeEvacuation(given).evacuated).toBe(given.cordoned && !given.disabled && isEmpty && seen);
    }),
  );
});
