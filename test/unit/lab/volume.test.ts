import { describe, expect, test } from 'vitest';
import { describe as describeVolume } from '../../../lab/volume/create.ts';
import {
  localVolume,
  localVolumeReplica,
  persistentVolume,
  persistentVolumeClaim,
  type VolumeDescription,
} from '../../../lab/volume/objects.ts';
import { volumeBytes } from '../../../lab/volume/quantity.ts';
import { resourceFile } from '../../../lab/volume/replicated.ts';

const MiB = 2 ** 20;
const volume: VolumeDescription = {
  name: 'data-web-0',
  namespace: 'default',
  bytes: 64 * MiB,
  fileSystem: 'ext4',
  affinity: 'hostname',
  thin: false,
  replicas: [{ name: 'data-web-0-abc123', node: { name: 'n1', storageAddress: '10.77.0.1' } }],
  resourceId: undefined,
};
const replicated: VolumeDescription = {
  ...volume,
  replicas: [...volume.replicas, { name: 'data-web-0-def456', node: { name: 'n2', storageAddress: '10.77.0.2' } }],
  resourceId: 3,
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

  test('of a plain one say that DRBD has no part in it', () => {
    expect(localVolume(volume).object).toMatchObject({ spec: { replicaNumber: 1, convertible: false, config: { resourceID: -1 } } });
    expect(localVolumeReplica(volume, volume.replicas[0]!).status).toMatchObject({ devPath: '/dev/LocalStorage_PoolHDD/data-web-0' });
    expect(localVolumeReplica(volume, volume.replicas[0]!).status).not.toHaveProperty('haState');
  });

  test('of one with two replicas name both nodes and the device of DRBD', () => {
    expect(localVolume(replicated)).toMatchObject({
      object: {
        spec: {
          replicaNumber: 2,
          convertible: true,
          config: {
            convertible: true,
            resourceID: 3,
            replicas: [
              { id: 1, hostname: 'n1', ip: '10.77.0.1', primary: true },
              { id: 2, hostname: 'n2', ip: '10.77.0.2', primary: false },
            ],
          },
        },
      },
      status: { replicas: ['data-web-0-abc123', 'data-web-0-def456'] },
    });
    expect(localVolumeReplica(replicated, replicated.replicas[1]!)).toMatchObject({
      object: { metadata: { name: 'data-web-0-def456' }, spec: { nodeName: 'n2' } },
      status: { devPath: '/dev/LocalStorage_PoolHDD-HA/data-web-0', storagePath: '/dev/LocalStorage_PoolHDD/data-web-0' },
    });
    expect(JSON.stringify(persistentVolume(replicated))).toContain('"values":["n1","n2"]');
  });

  test('of a thin one say so', () => {
    const thin = { ...volume, thin: true };
    expect(localVolume(thin).object).toMatchObject({ spec: { thin: true } });
    expect(localVolumeReplica(thin, thin.replicas[0]!).object).toMatchObject({ spec: { thin: true } });
    expect(localVolume(volume).object).not.toHaveProperty('spec.thin');
  });
});

test("DRBD's resource has HwameiStor's port and minor, at both ends", () => {
  expect(resourceFile(replicated, 3)).toBe(`resource data-web-0 {
  net {
    protocol C;
    connect-int 1;
  }
  on n1 {
    device minor 43004;
    disk /dev/LocalStorage_PoolHDD/data-web-0;
    meta-disk internal;
    address 10.77.0.1:43004;
  }
  on n2 {
    device minor 43004;
    disk /dev/LocalStorage_PoolHDD/data-web-0;
    meta-disk internal;
    address 10.77.0.2:43004;
  }
}
`);
});

describe('a request that makes no sense is refused:', () => {
  const nodes = ['n1', 'n2', 'n3'].map((name) => ({ name, storageAddress: '10.77.0.9' }));
  const describeFor = (names: readonly string[], more: object = {}) =>
    describeVolume(
      { name: 'data', node: names, size: '8Mi', ...more },
      names.map((name) => nodes.find((node) => node.name === name)!),
      0,
    );

  test.each<[string, readonly string[], object, string]>([
    ['a name that no object may have', ['n1'], { name: 'Data_1' }, 'volume name Data_1: use lower case letters, digits and hyphens'],
    ['the same node twice', ['n1', 'n1'], {}, 'node n1,n1: two replicas need two nodes'],
    ['three nodes', ['n1', 'n2', 'n3'], {}, 'node n1,n2,n3: a volume is on one node or on two'],
    ['a thin volume on two nodes', ['n1', 'n2'], { thin: true }, 'a thin volume is on one node: those that DRBD keeps on two are thick'],
  ])('%s', (_, names, more, message) => {
    expect(() => describeFor(names, more)).toThrow(message);
  });

  test('while one that does is described, a name of its own for each replica', () => {
    const { replicas, resourceId } = describeFor(['n2', 'n1']);
    expect(replicas.map(({ node }) => node.name)).toEqual(['n2', 'n1']);
    for (const { name } of replicas) expect(name).toMatch(/^data-[a-z0-9]{6}$/);
    expect(resourceId).toBe(0);
  });
});
