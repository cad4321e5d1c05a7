/** A bound claim and its volume on n1, and the migration that keeps the record: what the rebind's tests, and the process they kill, act on. */
import type { NodeIdentity, RebindStep } from '../../core/domain/rebind.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';
import {
  NodeAffinityProbe,
  type RebindOptions,
  type RebindOutcome,
  type RebindRecord,
  rebindPersistentVolume,
} from '../../system/kube/rebind-persistent-volume.ts';
import { persistentVolumeClaims, persistentVolumes } from '../../system/kube/resources.ts';

export const DRIVER = 'lvm.hwameistor.io';
const TOPOLOGY_KEY = 'topology.lvm.hwameistor.io/node';
export const OWN_FINALIZERS = ['external-provisioner.volume.kubernetes.io/finalizer', 'external-attacher/lvm-hwameistor-io'];

const node = (name: string): NodeIdentity => ({ name, labels: { [TOPOLOGY_KEY]: name } });

export const affinityTo = (name: string) => ({
  required: { nodeSelectorTerms: [{ matchExpressions: [{ key: TOPOLOGY_KEY, operator: 'In', values: [name] }] }] },
});

/** Volume, claim and migration all have this name. The claim is in `default`. */
export async function createBoundVolume(client: KubeClient, name: string, change: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const capacity = { storage: '64Mi' };
  const accessModes = ['ReadWriteOnce'];
  await client.create(persistentVolumes, {
    metadata: { name, labels: { app: 'database' }, annotations: { 'pv.kubernetes.io/provisioned-by': DRIVER }, finalizers: OWN_FINALIZERS },
    spec: {
      accessModes,
      capacity,
      persistentVolumeReclaimPolicy: 'Delete',
      claimRef: { namespace: 'default', name },
      csi: { driver: DRIVER, volumeHandle: name, fsType: 'ext4' },
      nodeAffinity: affinityTo('n1'),
      ...change,
    },
  });
  await client.create(persistentVolumeClaims, {
    metadata: { name, namespace: 'default' },
    spec: { accessModes, resources: { requests: capacity }, storageClassName: '', volumeName: name },
  });
  await client.create(localVolumeMigrates, {
    metadata: { name },
    spec: { volumeName: name, sourceNode: 'n1', targetNodesSuggested: [], migrateAllVols: false, abort: false },
  });
}

/** Moves the volume to n2, with the record in the migration's status, as a controller that has just started would. */
export async function rebind(client: KubeClient, name: string, options: Partial<RebindOptions> = {}): Promise<RebindOutcome> {
  const record = {
    async read(): Promise<RebindRecord | undefined> {
      return (await client.get(localVolumeMigrates, { name })).status?.persistentVolume as RebindRecord | undefined;
    },
    async write(persistentVolume: RebindRecord): Promise<void> {
      await client.mergePatch(
        localVolumeMigrates,
        { name },
        { status: { persistentVolume: { ...persistentVolume } } },
        { subresource: 'status' },
      );
    },
  };
  const request = { persistentVolume: name, source: node('n1'), target: node('n2') };
  return rebindPersistentVolume(request, { client, probe: new NodeAffinityProbe(), record, ...options });
}

/** A hook that ends this process with SIGKILL once the step is done. */
export const killAfter =
  (fatal: RebindStep['kind']) =>
  async (step: RebindStep['kind']): Promise<void> => {
    if (step === fatal) process.kill(process.pid, 'SIGKILL');
  };
