import { describe, expect, test } from 'vitest';
import { type PodView, viewCsiNode, viewPod } from '../../../activities/cluster/stores.ts';
import { claimNames } from '../../../activities/cluster/volume-objects.ts';
import type { CsiNode, Pod } from '../../../system/kube/resources.ts';

const affinity = {
  nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } },
  podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'kubernetes.io/hostname', labelSelector: {} }] },
};
const preferred = [{ weight: 1, podAffinityTerm: { topologyKey: 'kubernetes.io/hostname' } }];
const pod: Pod = {
  metadata: { namespace: 'default', name: 'db-0', uid: 'u', resourceVersion: '1', annotations: { large: 'x'.repeat(10_000) } },
  spec: {
    containers: [{ name: 'main', image: 'none', env: [{ name: 'A', value: 'b' }] }],
    nodeName: 'n1',
    nodeSelector: { disk: 'ssd' },
    tolerations: [{ operator: 'Exists' }],
    affinity: {
      ...affinity,
      podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred },
      podAntiAffinity: { ...affinity.podAntiAffinity, preferredDuringSchedulingIgnoredDuringExecution: preferred },
    },
    volumes: [
      { name: 'data', persistentVolumeClaim: { claimName: 'data-db-0' } },
      { name: 'scratch', ephemeral: { volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOnce'] } } } },
      { name: 'config', configMap: { name: 'settings' } },
    ],
  },
  status: { phase: 'Running', podIP: '10.0.0.1' },
};

describe('what is kept of a pod', () => {
  const kept = viewPod(pod);

  test('is what says where it runs, where it may run and what it uses', () => {
    expect(kept).toEqual({
      metadata: { namespace: 'default', name: 'db-0', uid: 'u', resourceVersion: '1' },
      spec: {
        nodeName: 'n1',
        nodeSelector: { disk: 'ssd' },
        tolerations: [{ operator: 'Exists' }],
        affinity,
        volumes: [
          { name: 'data', persistentVolumeClaim: { claimName: 'data-db-0' } },
          { name: 'scratch', ephemeral: {} },
        ],
      },
      status: { phase: 'Running' },
    });
  });

  test('names the claims it uses, those made for it alone among them', () => {
    expect(claimNames(kept)).toEqual(['data-db-0', 'db-0-scratch']);
    expect(claimNames({ ...kept, spec: {} } satisfies PodView)).toEqual([]);
  });
});

describe('what is kept of a CSINode', () => {
  const csiNode = (drivers: CsiNode['spec']['drivers'] | null) =>
    ({ metadata: { name: 'n1', uid: 'u', resourceVersion: '1', labels: {} }, spec: { drivers } }) as CsiNode;
  const driver = (name: string, count?: number) => ({ name, nodeID: 'n1', ...(count !== undefined && { allocatable: { count } }) });

  test.each([
    ['how many volumes may be attached there', [driver('other', 9), driver('lvm.hwameistor.io', 3)], 3],
    ['that none may', [driver('lvm.hwameistor.io', 0)], 0],
    ['no limit where the driver sets none', [driver('lvm.hwameistor.io')], undefined],
    ['no limit where there is no driver', null, undefined],
  ])('is %s', (_, drivers, attachableVolumes) => {
    const { metadata, ...rest } = viewCsiNode(csiNode(drivers));
    expect(metadata).toEqual({ name: 'n1', uid: 'u', resourceVersion: '1' });
    expect(rest).toEqual(attachableVolumes === undefined ? {} : { attachableVolumes });
  });
});
