import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type NodeIdentity, nextRebindStep, placeOf, type RebindFacts, type VolumeNodeAffinity } from '../../../core/domain/rebind.ts';

type VolumeFacts = NonNullable<RebindFacts['persistentVolume']>;

const PROTECTION = 'kubernetes.io/pv-protection';
const onSource: VolumeFacts = { uid: 'old', deleting: false, reclaimPolicy: 'Delete', finalizers: [PROTECTION], place: 'source' };

function facts(change: Partial<VolumeFacts> | undefined, others: Partial<RebindFacts> = {}): RebindFacts {
  const persistentVolume = change && { ...onSource, ...change };
  return { persistentVolume, recordedUid: undefined, attachments: [], affinityMutable: false, ...others };
}

describe('the next step follows from what is there', () => {
  const recorded = { recordedUid: 'old' };
  test.each([
    ['a volume that may run anywhere is left alone', facts({ place: 'anywhere' }), 'done'],
    ['no volume and no record: nothing to do', facts(undefined), 'done'],
    ['an API server that allows it is given the new affinity', facts({}, { affinityMutable: true }), 'patchAffinity'],
    ['otherwise the volume is recorded first', facts({}), 'record'],
    ['a rebind that was begun is not changed into a patch', facts({}, { ...recorded, affinityMutable: true }), 'retain'],
    ['a recorded volume is kept from deleting its data', facts({}, recorded), 'retain'],
    ['a volume that keeps its data is recorded all the same', facts({ reclaimPolicy: 'Retain' }), 'record'],
    ['a recorded volume that keeps its data is deleted', facts({ reclaimPolicy: 'Retain' }, recorded), 'delete'],
    ['one that is being deleted loses its finalizers', facts({ reclaimPolicy: 'Retain', deleting: true }, recorded), 'removeFinalizers'],
    [
      'an attachment that appears after the delete holds nothing up',
      facts({ reclaimPolicy: 'Retain', deleting: true }, { ...recorded, attachments: ['a'] }),
      'removeFinalizers',
    ],
    ['one that is gone is made again', facts(undefined, recorded), 'create'],
    ['one that names the target waits for its claim', facts({ uid: 'new', place: 'target' }, recorded), 'bind'],
    ['one that named the target all along is seen to be bound', facts({ place: 'target' }), 'bind'],
    [
      'finalizers of attacher and provisioner are ordinary',
      facts({ finalizers: [PROTECTION, 'external-provisioner.volume.kubernetes.io/finalizer', 'external-attacher/lvm-hwameistor-io'] }),
      'record',
    ],
  ])('%s', (_, given, step) => {
    expect(nextRebindStep(given).kind).toBe(step);
  });

  test.each([
    ['an attached volume', facts({}, { attachments: ['csi-1'] }), 'VolumeAttached', 'csi-1'],
    ["somebody else's finalizer", facts({ finalizers: ['backup.example.com/keep'] }), 'ForeignFinalizer', 'backup.example.com/keep'],
    [
      "somebody else's finalizer that came after the delete",
      facts({ finalizers: ['backup.example.com/keep'], deleting: true, reclaimPolicy: 'Retain' }, recorded),
      'ForeignFinalizer',
      'backup.example.com/keep',
    ],
    ['a volume that somebody deletes', facts({ deleting: true }), 'DeletedBySomebodyElse', 'Delete'],
    ['a volume that somebody deletes with its data', facts({ deleting: true }, recorded), 'DeletedBySomebodyElse', 'Delete'],
    ['a volume that somebody made again elsewhere', facts({ uid: 'other' }, recorded), 'Replaced', 'other'],
    ['a volume of a third node', facts({ place: 'elsewhere' }), 'NotOnSource', 'nodeAffinity'],
  ] as const)('%s is refused', (_, given, refusal, named) => {
    expect(nextRebindStep(given)).toEqual({ kind: 'refuse', refusal, message: expect.stringContaining(named) });
  });
});

describe('where a volume may run', () => {
  const topology = 'topology.lvm.hwameistor.io/node';
  const node = (name: string, zone: string): NodeIdentity => ({ name, labels: { [topology]: name, 'topology.kubernetes.io/zone': zone } });
  const [n1, n2] = [node('n1', 'a'), node('n2', 'b')];
  const on = (...requirements: [key: string, ...values: string[]][]): VolumeNodeAffinity => ({
    required: { nodeSelectorTerms: [{ matchExpressions: requirements.map(([key, ...values]) => ({ key, operator: 'In', values })) }] },
  });

  test.each([
    ['no affinity', undefined, 'anywhere'],
    ['an empty one', { required: { nodeSelectorTerms: [] } }, 'anywhere'],
    ['the target', on([topology, 'n2']), 'target'],
    ['a third node', on([topology, 'n3']), 'elsewhere'],
    [
      'the source, by a key without values',
      { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: topology, operator: 'Gt', values: ['1'] }] }] } },
      'elsewhere',
    ],
  ])('%s', (_, affinity, kind) => {
    expect(placeOf(affinity, n1, n2)).toEqual({ kind });
  });

  test.each([
    ['the node', on([topology, 'n1']), on([topology, 'n2'])],
    [
      'the node and its zone',
      on([topology, 'n1'], ['topology.kubernetes.io/zone', 'a']),
      on([topology, 'n2'], ['topology.kubernetes.io/zone', 'b']),
    ],
    ['one of two replicas', on([topology, 'n1', 'n3']), on([topology, 'n2', 'n3'])],
    [
      'a key that the nodes do not carry has their names as values',
      on(['kubernetes.io/hostname', 'n1']),
      on(['kubernetes.io/hostname', 'n2']),
    ],
  ])('%s moves', (_, affinity, movedAffinity) => {
    expect(placeOf(affinity, n1, n2)).toEqual({ kind: 'source', movedAffinity });
    expect(placeOf(movedAffinity, n1, n2)).toEqual({ kind: 'target' });
  });

  test('a zone that both share stays while the node moves', () => {
    const affinity = on([topology, 'n1'], ['topology.kubernetes.io/zone', 'a']);
    const neighbour = node('n2', 'a');
    expect(placeOf(affinity, n1, neighbour)).toEqual({
      kind: 'source',
      movedAffinity: on([topology, 'n2'], ['topology.kubernetes.io/zone', 'a']),
    });
  });
});

/** The world a rebind acts on, and what the API server does with each step. */
interface World {
  readonly volume: VolumeFacts | undefined;
  readonly record: VolumeFacts | undefined;
  readonly attachments: readonly string[];
}

function apply(world: World, kind: ReturnType<typeof nextRebindStep>['kind']): World {
  const { volume, record } = world;
  if (kind === 'record') return { ...world, record: volume };
  if (kind === 'retain') return { ...world, volume: { ...volume!, reclaimPolicy: 'Retain' } };
  if (kind === 'delete') return { ...world, volume: volume!.finalizers.length > 0 ? { ...volume!, deleting: true } : undefined };
  if (kind === 'removeFinalizers') return { ...world, volume: undefined };
  if (kind === 'create') return { ...world, volume: { ...record!, uid: 'new', place: 'target' } };
  if (kind === 'patchAffinity') return { ...world, volume: { ...volume!, place: 'target' } };
  return world;
}

const step = (world: World, affinityMutable: boolean): ReturnType<typeof nextRebindStep> =>
  nextRebindStep({ persistentVolume: world.volume, recordedUid: world.record?.uid, attachments: world.attachments, affinityMutable });

test('left alone, every volume on the source ends on the target with its own policy and finalizers', () => {
  const volumes = fc.record({
    reclaimPolicy: fc.constantFrom('Delete', 'Retain'),
    finalizers: fc.subarray([PROTECTION, 'external-attacher/x']),
  });
  fc.assert(
    fc.property(volumes, fc.boolean(), (volume, affinityMutable) => {
      let world: World = { volume: { ...onSource, ...volume }, record: undefined, attachments: [] };
      const kinds: string[] = [];
      for (let steps = 0; steps < 8 && kinds.at(-1) !== 'bind'; steps++) {
        const { kind } = step(world, affinityMutable);
        kinds.push(kind);
        world = apply(world, kind);
      }
      expect(kinds.at(-1)).toBe('bind');
      expect(world.volume).toMatchObject({ ...volume, place: 'target', deleting: false });
    }),
  );
});

test('whoever else has a hand in it, data is never let go: a volume ends only by a delete with policy Retain and a record of it', () => {
  const change =
    (of: (volume: VolumeFacts) => VolumeFacts | undefined) =>
    (world: World): World => ({ ...world, volume: world.volume && of(world.volume) });
  const interference = fc.constantFrom<(world: World) => World>(
    (world) => world,
    (world) => ({ ...world, volume: { ...onSource, uid: 'somebody' } }),
    (world) => ({ ...world, attachments: ['attachment'] }),
    (world) => ({ ...world, attachments: [] }),
    change(() => undefined),
    change((volume) => ({ ...volume, deleting: true })),
    change((volume) => ({ ...volume, reclaimPolicy: 'Delete' })),
    change((volume) => ({ ...volume, finalizers: [...volume.finalizers, 'foreign'] })),
  );
  fc.assert(
    fc.property(fc.array(interference, { maxLength: 20 }), fc.boolean(), (interferences, affinityMutable) => {
      let world: World = { volume: onSource, record: undefined, attachments: [] };
      for (const interfere of interferences) {
        world = interfere(world);
        const { kind } = step(world, affinityMutable);
        if (kind === 'delete' || kind === 'removeFinalizers') {
          expect(world.volume).toMatchObject({ reclaimPolicy: 'Retain', uid: world.record?.uid });
          expect(world.volume?.finalizers).not.toContain('foreign');
        }
        if (kind === 'delete') expect(world.attachments).toEqual([]);
        if (kind === 'record') expect(world.record).toBeUndefined();
        world = apply(world, kind);
      }
    }),
  );
});
