import { afterEach, beforeEach, expect, test } from 'vitest';
import { Cluster, eventually, nodeStorage } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());
afterEach(() => cluster.restartController());

/** A volume whose controller has died when the PersistentVolume was gone. */
async function diedWithoutPersistentVolume(): Promise<{ sha256: string; before: PersistentVolume }> {
  await cluster.restartController({ REHOME_FAULTS: 'crash-after:switchObjects.removeFinalizers' });
  const sha256 = await cluster.filledVolume('data', 'n1', '16Mi');
  const before = await cluster.get<PersistentVolume>('pv', 'data');
  await cluster.cordon('n1');
  await eventually('the PersistentVolume gone and its controller dead', 90, async () => {
    const dead = !lab.processes().some(({ name, running }) => name === 'controller' && running);
    return dead && (await cluster.list<PersistentVolume>('pv')).every(({ metadata }) => metadata.name !== 'data');
  });
  return { sha256, before };
}

async function expectRebound(sha256: string, before: PersistentVolume): Promise<void> {
  await cluster.waitUntilEvacuated('n1', 180);
  const node = await cluster.nodeOf('data');
  expect(await cluster.sha256('data', node)).toBe(sha256);
  const after = await cluster.get<PersistentVolume>('pv', 'data');
  expect(after.status.phase).toBe('Bound');
  expect(after.spec.persistentVolumeReclaimPolicy).toBe(before.spec.persistentVolumeReclaimPolicy);
  expect(after.spec.claimRef.uid).toBe(before.spec.claimRef.uid);
  expect(JSON.stringify(after.spec.nodeAffinity)).toContain(node);
  expect(JSON.stringify(after.spec.nodeAffinity)).not.toContain('n1');
  expect((await cluster.get<{ status: { phase: string } }>('pvc', 'data')).status.phase).toBe('Bound');
}

test('a controller killed between the delete and the create of a PersistentVolume is followed by one that creates it', async () => {
  const { sha256, before } = await diedWithoutPersistentVolume();
  await lab.start('controller');
  await expectRebound(sha256, before);
});

test('a workflow terminated between the delete and the create of a PersistentVolume is followed by one that creates it', async () => {
  const { sha256, before } = await diedWithoutPersistentVolume();
  await lab.temporal(['workflow', 'terminate', '--workflow-id', 'migrate-data']);
  await lab.start('controller');
  await expectRebound(sha256, before);
});

test('a migration past its point of no return finishes though it is aborted and its node uncordoned, and when it is reset it destroys nothing', async () => {
  const sha256 = await cluster.filledVolume('data', 'n1', '16Mi');
  await cluster.cordon('n1');
  await eventually('the point of no return', 90, async () => (await cluster.migration('data'))?.status?.pointOfNoReturn);
  await lab.temporal(['workflow', 'signal', '--workflow-id', 'migrate-data', '--name', 'abort']);
  await cluster.uncordon('n1');
  await cluster.reaches('data', 'Completed');
  const node = await cluster.nodeOf('data');
  expect(node).not.toBe('n1');
  const before = await Promise.all(lab.machines.map(nodeStorage));

  await lab.temporal(['workflow', 'reset', '--workflow-id', 'migrate-data', '--type', 'FirstWorkflowTask', '--reason', 'test']);
  await eventually('the new run ended', 60, async () => {
    const { stdout } = await lab.temporal(['workflow', 'describe', '--workflow-id', 'migrate-data', '-o', 'json']);
    return stdout.includes('WORKFLOW_EXECUTION_STATUS_COMPLETED');
  });
  expect(await Promise.all(lab.machines.map(nodeStorage))).toEqual(before);
  expect(await cluster.sha256('data', node)).toBe(sha256);
});

interface PersistentVolume {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly persistentVolumeReclaimPolicy: string;
    readonly claimRef: { readonly uid: string };
    readonly nodeAffinity?: unknown;
  };
  readonly status: { readonly phase: string };
}
