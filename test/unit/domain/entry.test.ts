import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MigrationRecord, VolumeFacts } from '../../../core/contracts/cluster-activities.ts';
import { PHASES } from '../../../core/contracts/phases.ts';
import { chooseEntry, isCutOver } from '../../../core/domain/entry.ts';

const facts: VolumeFacts = {
  localVolume: { pool: 'hdd', requiredCapacityBytes: 1, convertible: false, replicaNodes: ['n1'] },
  sourceReplica: { name: 'data-abc123' },
  heldBy: [],
  agentAlive: {},
};
const { sourceReplica, ...withoutReplica } = facts;
const moved: VolumeFacts = { ...withoutReplica, localVolume: { ...facts.localVolume!, replicaNodes: ['n2'] } };
const record: MigrationRecord = {
  ref: { name: 'data-1', uid: 'this', volume: 'data' },
  sourceNode: 'n1',
  phase: 'Syncing',
  pointOfNoReturn: false,
  abortedByPerson: false,
  hashCheck: false,
};

describe('a run without a record', () => {
  test.each<[string, VolumeFacts, string]>([
    ['opens one for a volume that is to move', facts, 'Open'],
    ['opens one for a volume whose replica has gone missing', withoutReplica, 'Open'],
    ['opens one for a replica whose volume has gone missing', { sourceReplica: sourceReplica!, heldBy: [], agentAlive: {} }, 'Open'],
    ['finds nothing to do where the volume has moved', moved, 'NothingToMove'],
    ['finds nothing to do where there is no such volume', { heldBy: [], agentAlive: {} }, 'NothingToMove'],
    ['finds nothing to do where nobody wants it moved', { ...facts, unwanted: 'uncordoned' }, 'NothingToMove'],
  ])('%s', (_, given, entry) => {
    expect(chooseEntry(undefined, given, 'n1')).toBe(entry);
  });
});

describe('a run with a record', () => {
  test.each<[string, Partial<MigrationRecord>, string]>([
    ['looks at the nodes before it goes on', {}, 'Pending'],
    ['that was parked does so too', { phase: 'NeedsAttention', parkedIn: 'Verifying' }, 'Pending'],
    ['brings an abort to its end', { phase: 'Aborting' }, 'Aborting'],
    ['brings an abort to its end that was parked', { phase: 'NeedsAttention', parkedIn: 'Aborting' }, 'Aborting'],
    ['brings an abort to its end that a person asked for', { abortedByPerson: true }, 'Aborting'],
    ['goes forward past the point of no return', { phase: 'CuttingOver', pointOfNoReturn: true }, 'CuttingOver'],
    ['goes forward although a person asked for an abort', { pointOfNoReturn: true, abortedByPerson: true }, 'CuttingOver'],
    ['goes forward where it was parked', { phase: 'NeedsAttention', parkedIn: 'RemovingSource', pointOfNoReturn: true }, 'RemovingSource'],
    ['does not remove the source on the phase alone', { phase: 'RemovingSource', pointOfNoReturn: false }, 'Pending'],
  ])('%s', (_, change, entry) => {
    expect(chooseEntry({ ...record, ...change }, facts, 'n1')).toBe(entry);
  });

  test('goes on whatever the objects say by now', () => {
    expect(chooseEntry(record, moved, 'n1')).toBe('Pending');
    expect(chooseEntry(record, { ...facts, unwanted: 'uncordoned' }, 'n1')).toBe('Pending');
  });
});

test('past the point of no return no run goes back, before it none removes anything', () => {
  const parkable = PHASES.filter((phase) => phase !== 'NeedsAttention');
  const any = fc.record({
    phase: fc.constantFrom(...PHASES),
    parkedIn: fc.constantFrom(...parkable),
    pointOfNoReturn: fc.boolean(),
    abortedByPerson: fc.boolean(),
  });
  fc.assert(
    fc.property(any, fc.constantFrom(facts, moved), (change, given) => {
      const entry = chooseEntry({ ...record, ...change }, given, 'n1');
      expect(['CuttingOver', 'RemovingSource'].includes(entry)).toBe(change.pointOfNoReturn);
    }),
  );
});

test('the tag of this migration on either node says that it was cut over, that of another does not', () => {
  const logicalVolume = { sizeBytes: 1, segmentTypes: [], hasSnapshots: false, active: true, open: false, logicalBlockSizeBytes: 512 };
  const tagged = (cutOverBy: string) => ({ volumeGroupFound: true, logicalVolume: { ...logicalVolume, cutOverBy } });
  const plain = { volumeGroupFound: true, logicalVolume };
  expect(isCutOver([plain, tagged('this')], 'this')).toBe(true);
  expect(isCutOver([tagged('this'), undefined], 'this')).toBe(true);
  expect(isCutOver([tagged('another'), plain], 'this')).toBe(false);
  expect(isCutOver([plain, undefined], 'this')).toBe(false);
});
