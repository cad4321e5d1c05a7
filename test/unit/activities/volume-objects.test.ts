import { describe, expect, test } from 'vitest';
import { type PodView, viewPod } from '../../../activities/cluster/stores.ts';
import { claimNames } from '../../../activities/cluster/volume-objects.ts';
import type { Pod } from '../../../system/kube/resources.ts';

const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } } };
const pod: Pod = {
  metadata: { namespace: 'default', name: 'db-0', uid: 'u', resourceVersion: '1', annotations: { large: 'x'.repeat(10_000) } },
  spec: {
    containers: [{ name: 'main', image: 'none', env: [{ name: 'A', value: 'b' }] }],
    nodeName: 'n1',
    nodeSelector: { disk: 'ssd' },
    tolerations: [{ operator: 'Exists' }],
    affinity: { ...affinity, podAntiAffinity: {} },
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
