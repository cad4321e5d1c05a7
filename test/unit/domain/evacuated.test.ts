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
};
const syncing = { volume: 'data', waitsFor: 'Syncing' };

describe('a node is evacuated', () => {
  test.each<[string, Partial<EvacuationFacts>]>([
    ['when the agent, the replicas and the migrations all say nothing is left', {}],
    ['and stays so when it is then powered off', { evacuated: true, agentAlive: false }],
  ])('%s', (_, change) => {
    const message = 'no volume is left and nothing is under way';
    expect(judgeEvacuation({ ...empty, ...change })).toEqual({ evacuated: true, reason: 'NothingLeft', message });
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

test('whatever else is true, no node is evacuated with a volume, a migration, or without cordon', () => {
  const names = fc.array(fc.constantFrom('data', 'log'), { maxLength: 2 });
  const facts = fc.record({
    cordoned: fc.boolean(),
    disabled: fc.boolean(),
    evacuated: fc.boolean(),
    agentAlive: fc.boolean(),
    reportedVolumes: fc.option(names, { nil: undefined }),
    replicaVolumes: names,
    migrations: fc.array(fc.constant(syncing), { maxLength: 1 }),
  });
  fc.assert(
    fc.property(facts, (given) => {
      const isEmpty = given.reportedVolumes?.length === 0 && given.replicaVolumes.length === 0 && given.migrations.length === 0;
      const seen = given.agentAlive || given.evacuated;
      expect(judgeEvacuation(given).evacuated).toBe(given.cordoned && !given.disabled && isEmpty && seen);
    }),
  );
});
