import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decideMigrateRequest, type MigrateRequestDecision, type MigrateRequestFacts } from '../../../core/domain/migrate-request.ts';

const asked = (change: Partial<MigrateRequestFacts> = {}): MigrateRequestFacts => ({
  volume: 'data',
  sourceNode: 'n1',
  migrateAllVols: true,
  isStorageNode: true,
  replicaNodes: ['n1'],
  companions: [],
  ...change,
});
const other = (sourceNode: string) => ({ name: 'other', sourceNode });
const ended = (sourceNode: string, outcome: 'Completed' | 'Aborted') => ({ ...other(sourceNode), outcome, message: 'so it ended' });

describe('a LocalVolumeMigrate that somebody made', () => {
  test.each<[string, Partial<MigrateRequestFacts>, MigrateRequestDecision]>([
    ['is begun', {}, { kind: 'begin', withVolumes: [] }],
    ['is begun alone, if nothing binds it', { migrateAllVols: false }, { kind: 'begin', withVolumes: [] }],
    ['is begun with the other volumes of its pods', { companions: ['log', 'wal'] }, { kind: 'begin', withVolumes: ['log', 'wal'] }],
    ['is begun where the volume lies on other nodes as well', { replicaNodes: ['n2', 'n1'] }, { kind: 'begin', withVolumes: [] }],
    [
      'follows the one that runs',
      { underWay: other('n1') },
      {
        kind: 'follow',
        name: 'other',
        message: 'follows LocalVolumeMigrate other, which moves this volume already, and ends as that does',
      },
    ],
    [
      'waits for the one that moves the volume to its source',
      { underWay: other('n2'), replicaNodes: ['n2'] },
      {
        kind: 'follow',
        name: 'other',
        message: 'follows LocalVolumeMigrate other, which moves this volume already, and begins when that has left n2',
      },
    ],
    [
      'ends as the one that it followed',
      { followed: ended('n1', 'Completed'), replicaNodes: ['n2'] },
      { kind: 'end', outcome: 'Completed', message: 'ended as LocalVolumeMigrate other: so it ended' },
    ],
    [
      'is aborted as the one that it followed',
      { followed: ended('n1', 'Aborted') },
      { kind: 'end', outcome: 'Aborted', message: 'ended as LocalVolumeMigrate other: so it ended' },
    ],
    ['is begun once the one that left another node has ended', { followed: ended('n2', 'Completed') }, { kind: 'begin', withVolumes: [] }],
    [
      'is not begun when nobody wants it any more, whatever else holds',
      { withdrawn: 'deleted', underWay: other('n1'), replicaNodes: undefined },
      { kind: 'end', outcome: 'Aborted', message: 'deleted' },
    ],
    [
      'of a volume that there is not is refused',
      { replicaNodes: undefined, isStorageNode: false },
      { kind: 'end', outcome: 'Aborted', reason: 'LocalVolumeMissing', message: 'refused: there is no LocalVolume data' },
    ],
    [
      'from a node that stores no volumes is refused',
      { isStorageNode: false },
      { kind: 'end', outcome: 'Aborted', reason: 'StorageNodeMissing', message: 'refused: there is no LocalStorageNode n1' },
    ],
    [
      'from a node where the volume is not is refused, with where it is',
      { replicaNodes: ['n3', 'n2'] },
      { kind: 'end', outcome: 'Aborted', reason: 'SourceReplicaMissing', message: 'refused: data lies on n2, n3, not on n1' },
    ],
    [
      'of a volume that lies nowhere is refused',
      { replicaNodes: [] },
      { kind: 'end', outcome: 'Aborted', reason: 'SourceReplicaMissing', message: 'refused: data lies on no node, not on n1' },
    ],
    [
      'of a volume that is kept is refused',
      { stays: { kind: 'kept', why: 'annotation rehome.io/move=never' } },
      { kind: 'end', outcome: 'Aborted', reason: 'VolumeStays', message: 'refused: data is kept (annotation rehome.io/move=never)' },
    ],
    [
      'of one volume alone is refused where another is bound to it',
      { migrateAllVols: false, companions: ['log'] },
      {
        kind: 'end',
        outcome: 'Aborted',
        reason: 'OtherVolumesBound',
        message: 'refused: data moves only together with log, which would stay on n1: set migrateAllVols',
      },
    ],
  ])('%s', (_, change, decision) => {
    expect(decideMigrateRequest(asked(change))).toEqual(decision);
  });

  const names = fc.constantFrom('n1', 'n2', 'n3');
  const anything: fc.Arbitrary<MigrateRequestFacts> = fc.record({
    volume: fc.constant('data'),
    sourceNode: names,
    migrateAllVols: fc.boolean(),
    withdrawn: fc.option(fc.constant('deleted'), { nil: undefined }),
    underWay: fc.option(names.map(other), { nil: undefined }),
    followed: fc.option(
      fc.tuple(names, fc.constantFrom('Completed' as const, 'Aborted' as const)).map(([node, outcome]) => ended(node, outcome)),
      { nil: undefined },
    ),
    isStorageNode: fc.boolean(),
    replicaNodes: fc.option(fc.uniqueArray(names), { nil: undefined }),
    companions: fc.uniqueArray(fc.constantFrom('log', 'wal')),
  });

  test('is begun only where the volume lies, beside no other, and never without what is bound to it', () => {
    fc.assert(
      fc.property(anything, (facts) => {
        const decision = decideMigrateRequest(facts);
        if (decision.kind !== 'begin') return;
        expect(facts).toMatchObject({ withdrawn: undefined, underWay: undefined, isStorageNode: true });
        expect(facts.replicaNodes).toContain(facts.sourceNode);
        expect(decision.withVolumes).toEqual(facts.companions);
        expect(facts.migrateAllVols || facts.companions.length === 0).toBe(true);
      }),
    );
  });

  test('is Completed only if the one that it followed has left its own source', () => {
    fc.assert(
      fc.property(anything, (facts) => {
        const decision = decideMigrateRequest(facts);
        if (decision.kind !== 'end' || decision.outcome !== 'Completed') return;
        expect(facts.followed).toMatchObject({ outcome: 'Completed', sourceNode: facts.sourceNode });
      }),
    );
  });
});
