import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { ClaimNotBound, PersistentVolumeRefused } from '../../system/kube/rebind-persistent-volume.ts';
import { persistentVolumeClaims, persistentVolumes, volumeAttachments } from '../../system/kube/resources.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { affinityTo, createBoundVolume, DRIVER, OWN_FINALIZERS, rebind } from './rebind-world.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(async () => cluster?.stop());

let name: string;
let tests = 0;
beforeEach(() => {
  tests += 1;
  name = `volume-${tests}`;
});

const volume = () => cluster.client.get(persistentVolumes, { name });
const claim = () => cluster.client.get(persistentVolumeClaims, { name, namespace: 'default' });

async function createdAndBound(
  change: Parameters<typeof createBoundVolume>[2] = {},
): Promise<{ readonly claimUid: string; readonly volumeUid: string }> {
  await createBoundVolume(cluster.client, name, change);
  await vi.waitFor(
    async () => {
      expect((await claim()).status?.phase).toBe('Bound');
      expect((await volume()).metadata.finalizers).toContain('kubernetes.io/pv-protection');
    },
    { timeout: 20_000 },
  );
  return { claimUid: (await claim()).metadata.uid, volumeUid: (await volume()).metadata.uid };
}

async function expectMoved({ claimUid }: { readonly claimUid: string }, policy = 'Delete'): Promise<void> {
  const moved = await volume();
  expect(moved.spec).toMatchObject({
    nodeAffinity: affinityTo('n2'),
    persistentVolumeReclaimPolicy: policy,
    claimRef: { uid: claimUid, name, namespace: 'default' },
    csi: { driver: DRIVER, volumeHandle: name, fsType: 'ext4' },
  });
  expect(moved.metadata).toMatchObject({ labels: { app: 'database' }, annotations: { 'pv.kubernetes.io/provisioned-by': DRIVER } });
  expect(moved.metadata.finalizers?.toSorted()).toEqual([...OWN_FINALIZERS, 'kubernetes.io/pv-protection'].toSorted());
  expect(moved.metadata.deletionTimestamp).toBeUndefined();
  expect(moved.status?.phase).toBe('Bound');

  const bound = await claim();
  expect(bound).toMatchObject({ metadata: { uid: claimUid }, status: { phase: 'Bound' } });
  expect(Object.keys(bound.metadata.annotations ?? {})).not.toContain('rehome.io/rebound-at');
}

/** Runs a rebind in a process of its own, which is killed after the step. */
async function dieAfter(step: string): Promise<void> {
  const program = join(import.meta.dirname, 'rebind-and-die.ts');
  const child = spawn(process.execPath, [program, cluster.controlPlane.kubeconfig, name, step], { stdio: 'inherit' });
  const [, signal] = await once(child, 'exit');
  expect(signal).toBe('SIGKILL');
}

describe('a rebind', () => {
  test('gives the claim the same volume on another node', async () => {
    const before = await createdAndBound();
    const startedAt = performance.now();
    expect(await rebind(cluster.client, name)).toEqual({ kind: 'Rebound', recreated: true });
    console.info(`rebind: ${Math.round(performance.now() - startedAt)} ms`);
    await expectMoved(before);
    expect((await volume()).metadata.uid).not.toBe(before.volumeUid);
  });

  test.each(['record', 'retain', 'delete', 'removeFinalizers', 'create', 'bind'])(
    'whose process is killed after "%s" is finished by the next one',
    async (step) => {
      const before = await createdAndBound();
      await dieAfter(step);
      expect(await rebind(cluster.client, name)).toEqual({ kind: 'Rebound', recreated: true });
      await expectMoved(before);
    },
  );

  test('of a volume that keeps its data restores that policy', async () => {
    const before = await createdAndBound({ persistentVolumeReclaimPolicy: 'Retain' });
    await dieAfter('delete');
    await rebind(cluster.client, name);
    await expectMoved(before, 'Retain');
  });

  test('that two processes make at once is made once', async () => {
    const before = await createdAndBound();
    await Promise.all([rebind(cluster.client, name), rebind(cluster.client, name)]);
    await expectMoved(before);
  });

  test('that is done changes nothing any more', async () => {
    await createdAndBound();
    await rebind(cluster.client, name);
    const { uid } = (await volume()).metadata;
    await rebind(cluster.client, name);
    expect((await volume()).metadata.uid).toBe(uid);
  });

  test('leaves a volume alone that names no node', async () => {
    await createBoundVolume(cluster.client, name, { nodeAffinity: null });
    expect(await rebind(cluster.client, name)).toEqual({ kind: 'NoNodeAffinity' });
  });

  test('whose claim is deleted in its midst leaves the volume to its own policy', async () => {
    await createdAndBound();
    await dieAfter('delete');
    await cluster.client.delete(persistentVolumeClaims, { name, namespace: 'default' });
    await rebind(cluster.client, name);
    await vi.waitFor(async () => expect((await volume()).status?.phase).toBe('Released'), { timeout: 20_000 });
    expect((await volume()).spec?.persistentVolumeReclaimPolicy).toBe('Delete');
  });

  test('waits for the claim no longer than its limit, and is finished once the volume controller is there', async () => {
    const before = await createdAndBound();
    await cluster.controlPlane.kill('controller-manager');
    try {
      await expect(rebind(cluster.client, name, { boundTimeoutSeconds: 1 })).rejects.toBeInstanceOf(ClaimNotBound);
    } finally {
      await cluster.controlPlane.start('controller-manager');
    }
    await rebind(cluster.client, name);
    await vi.waitFor(async () => expect((await volume()).metadata.finalizers).toContain('kubernetes.io/pv-protection'), {
      timeout: 20_000,
    });
    await expectMoved(before);
  });
});

/** From now on volumes of that name are made with the label `owner` only. */
async function requireOwner(name: string): Promise<void> {
  const admission = { group: 'admissionregistration.k8s.io', version: 'v1', namespaced: false } as const;
  const policies = { ...admission, kind: 'ValidatingAdmissionPolicy', plural: 'validatingadmissionpolicies' };
  const bindings = { ...admission, kind: 'ValidatingAdmissionPolicyBinding', plural: 'validatingadmissionpolicybindings' };
  const resourceRules = [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['persistentvolumes'] }];
  const spec = {
    matchConstraints: { resourceRules },
    matchConditions: [{ name: 'named', expression: `object.metadata.name == '${name}'` }],
    validations: [{ expression: "has(object.metadata.labels) && 'owner' in object.metadata.labels", message: 'a volume names its owner' }],
  };
  await cluster.client.create(policies, { metadata: { name: 'owners' }, spec } as object & { metadata: object });
  await cluster.client.create(bindings, {
    metadata: { name: 'owners' },
    spec: { policyName: 'owners', validationActions: ['Deny'] },
  } as object & {
    metadata: object;
  });
  const { spec: known } = await volume();
  const isRefused = () =>
    expect(
      cluster.client.create(persistentVolumes, { metadata: { name }, ...(known && { spec: known }) }, { dryRun: true }),
    ).rejects.toThrow('names its owner');
  await vi.waitFor(isRefused, { timeout: 20_000 });
}

describe('a rebind is refused and changes nothing', () => {
  test('where the API server would not take the volume as it is to be made again, and goes on once somebody has mended that', async () => {
    const before = await createdAndBound();
    await requireOwner(name);
    await expectRefused('NotAccepted');
    await cluster.client.mergePatch(persistentVolumes, { name }, { metadata: { labels: { owner: 'somebody' } } });
    await rebind(cluster.client, name);
    await expectMoved(before);
    expect((await volume()).metadata.labels).toMatchObject({ owner: 'somebody' });
  });

  async function expectRefused(refusal: string): Promise<void> {
    const before = await volume();
    const refused = await rebind(cluster.client, name).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(PersistentVolumeRefused);
    expect(refused).toMatchObject({ refusal });
    expect((await volume()).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  }

  test('while the volume is attached, and goes on once it is not', async () => {
    const before = await createdAndBound();
    const attachment = { name: `attachment-of-${name}` };
    await cluster.client.create(volumeAttachments, {
      metadata: attachment,
      spec: { attacher: DRIVER, nodeName: 'n1', source: { persistentVolumeName: name } },
    });
    await expectRefused('VolumeAttached');
    await cluster.client.delete(volumeAttachments, attachment);
    await rebind(cluster.client, name);
    await expectMoved(before);
  });

  test("while somebody else's finalizer is on it", async () => {
    await createdAndBound();
    await cluster.client.jsonPatch(persistentVolumes, { name }, [
      { op: 'add', path: '/metadata/finalizers/-', value: 'backup.example.com/keep' },
    ]);
    await expectRefused('ForeignFinalizer');
  });

  test('while somebody else deletes it', async () => {
    await createdAndBound();
    await cluster.client.delete(persistentVolumes, { name });
    await expectRefused('DeletedBySomebodyElse');
  });

  test('where it is not on the source node', async () => {
    await createdAndBound({ nodeAffinity: affinityTo('n3') });
    await expectRefused('NotOnSource');
  });
});
