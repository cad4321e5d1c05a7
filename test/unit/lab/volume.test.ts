import { describe, expect, test } from 'vitest';
import { localVolume, persistentVolume, persistentVolumeClaim, type VolumeDescription } from '../../../lab/volume/objects.ts';
import { volumeBytes } from '../../../lab/volume/quantity.ts';

const MiB = 2 ** 20;
const volume: VolumeDescription = {
  name: 'data-web-0',
  namespace: 'default',
  bytes: 64 * MiB,
  fileSystem: 'ext4',
  affinity: 'hostname',
  node: { name: 'n1', storageAddress: '10.77.0.1' },
  replicaName: 'data-web-0-abc123',
};

describe('a size', () => {
  test.each([
    ['256Mi', 256 * MiB],
    ['1Gi', 1024 * MiB],
    ['1', 4 * MiB],
    ['5Mi', 8 * MiB],
    ['10M', 12 * MiB],
  ])('%s', (size, bytes) => {
    expect(volumeBytes(size)).toBe(bytes);
  });

  test.each(['', '0', '-1Mi', '1.5Gi', '64 Mi', '64MB', 'Mi'])('%o is refused', (size) => {
    expect(() => volumeBytes(size)).toThrow('write it as 256Mi or 1Gi');
  });
});

describe("a volume's objects", () => {
  test('agree on its name, so that the claim of a StatefulSet finds its volume', () => {
    expect(persistentVolume(volume)).toMatchObject({
      metadata: { name: 'data-web-0' },
      spec: { csi: { volumeHandle: 'data-web-0', fsType: 'ext4' }, claimRef: { namespace: 'default', name: 'data-web-0' } },
    });
    expect(persistentVolumeClaim(volume)).toMatchObject({ metadata: { name: 'data-web-0' }, spec: { volumeName: 'data-web-0' } });
    expect(localVolume(volume).status).toMatchObject({ replicas: ['data-web-0-abc123'], publishedNode: '' });
  });

  test.each([
    [
      'hostname',
      {
        spec: {
          nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', values: ['n1'] }] }] } },
        },
      },
    ],
    [
      'topology',
      { spec: { nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'topology.lvm.hwameistor.io/node' }] }] } } } },
    ],
  ] as const)('bind it to its node by %s', (affinity, expected) => {
    expect(persistentVolume({ ...volume, affinity })).toMatchObject(expected);
  });

  test('bind it to no node when asked so', () => {
    expect(persistentVolume({ ...volume, affinity: 'none' })).not.toHaveProperty('spec.nodeAffinity');
  });

  test('of a raw one have no file system', () => {
    const raw = { ...volume, fileSystem: 'block' } as const;
    expect(persistentVolume(raw)).toMatchObject({ spec: { volumeMode: 'Block' } });
    expect(persistentVolume(raw)).not.toHaveProperty('spec.csi.fsType');
    expect(localVolume(raw).status).toMatchObject({ rawblock: true });
  });
});
