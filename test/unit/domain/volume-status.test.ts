import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LocalVolume, LocalVolumeStatus, ReplicaState } from '../../../core/contracts/objects/index.ts';
import { judgeVolume } from '../../../core/domain/volume-status.ts';

const MiB = 2 ** 20;

function volume(nodes: readonly string[], status: Partial<LocalVolumeStatus> = {}): Pick<LocalVolume, 'spec' | 'status'> {
  const config = {
    version: 1,
    volumeName: 'data',
    requiredCapacityBytes: 4 * MiB,
    convertible: false,
    resourceID: -1,
    readyToInitialize: true,
    initialized: true,
    replicas: nodes.map((hostname, index) => ({ id: index + 1, hostname, ip: '10.0.0.1', primary: index === 0 })),
  };
  const common = { poolName: 'hdd', requiredCapacityBytes: 4 * MiB, convertible: false, delete: false };
  return { spec: { ...common, replicaNumber: Math.max(1, nodes.length), config }, status: { rawblock: false, ...status } };
}

function replica(node: string, state?: ReplicaState) {
  const metadata = { name: `data-${node}`, uid: node, resourceVersion: '1', creationTimestamp: '' };
  const spec = { volumeName: 'data', poolName: 'hdd', nodeName: node, requiredCapacityBytes: 4 * MiB, delete: false };
  return { metadata, spec, ...(state !== undefined && { status: { state, synced: true, inuse: false } }) };
}

describe('a volume', () => {
  test.each<[string, Parameters<typeof judgeVolume>, ReturnType<typeof judgeVolume>]>([
    ['whose replica is Ready is Ready', [volume(['n1']), [replica('n1', 'Ready')]], { state: 'Ready', replicas: ['data-n1'] }],
    ['whose replica is not, is not', [volume(['n1']), [replica('n1', 'NotReady')]], { state: 'NotReady', replicas: ['data-n1'] }],
    ['whose replica is gone is not Ready', [volume(['n1'], { replicas: ['data-n1'] }), []], { state: 'NotReady', replicas: [] }],
    [
      'of two replicas needs both',
      [volume(['n1', 'n2']), [replica('n2', 'NotReady'), replica('n1', 'Ready')]],
      { state: 'NotReady', replicas: ['data-n1', 'data-n2'] },
    ],
    [
      'has no replica where its configuration does not place one: that is on its way, or left behind',
      [volume(['n1']), [replica('n2', 'NotReady'), replica('n1', 'Ready')]],
      { state: 'Ready', replicas: ['data-n1'] },
    ],
    [
      'that was moved is where its configuration says',
      [volume(['n2'], { state: 'Ready', replicas: ['data-n1'] }), [replica('n1', 'Ready'), replica('n2', 'Ready')]],
      { state: 'Ready', replicas: ['data-n2'] },
    ],
    [
      'keeps its replicas in the order in which they stand',
      [volume(['n1', 'n2'], { replicas: ['data-n2', 'data-n1'] }), [replica('n1', 'Ready'), replica('n2', 'Ready')]],
      { state: 'Ready', replicas: ['data-n2', 'data-n1'] },
    ],
    ['is not judged before its agent has looked', [volume(['n1']), [replica('n1')]], undefined],
    ['is not judged while it is being deleted', [volume(['n1'], { state: 'ToBeDeleted' }), [replica('n1', 'NotReady')]], undefined],
  ])('%s', (_, given, expected) => {
    expect(judgeVolume(...given)).toEqual(expected);
  });

  test('of which nobody has said where it lies is not judged', () => {
    const { config: _, ...spec } = volume([]).spec;
    expect(judgeVolume({ spec }, [replica('n1', 'Ready')])).toBeUndefined();
  });

  test('is Ready if and only if every replica that is placed is there and Ready, and what is written once is not written again', () => {
    const nodes = fc.subarray(['n1', 'n2', 'n3'], { minLength: 1 });
    const states = fc.dictionary(fc.constantFrom('n1', 'n2', 'n3'), fc.constantFrom<ReplicaState>('Ready', 'NotReady'));
    fc.assert(
      fc.property(nodes, states, (placed, stateOf) => {
        const replicas = Object.entries(stateOf).map(([node, state]) => replica(node, state));
        const judged = judgeVolume(volume(placed), replicas)!;
        expect(judged.state === 'Ready').toBe(placed.every((node) => stateOf[node] === 'Ready'));
        expect(judgeVolume(volume(placed, judged), replicas.toReversed())).toEqual(judged);
      }),
    );
  });
});
