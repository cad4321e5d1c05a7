/** Single pods are moved with their volumes: the procedures of HwameiStor's page on eviction, command by command, and a node under pressure. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Cluster, eventually, nodeStorage } from '../lab/support.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

interface PodObject {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly nodeName?: string; readonly schedulingGates?: readonly { readonly name: string }[] };
  readonly status: { readonly phase?: string; readonly reason?: string };
}

const VOLUME = 'mysql-data';
const LABEL = 'hwameistor.io/eviction';
const KINDS = [
  ['names its node', 'hostname'],
  ['names no node', 'none'],
] as const;

/** A database's pod, as HwameiStor's page has it: it says in its volume where it ran. */
async function startWorkload(kind: 'StatefulSet' | 'Deployment', affinity: 'hostname' | 'none' = 'hostname'): Promise<PodObject> {
  await lab.createVolume({ name: VOLUME, node: 'n1', size: '32Mi', affinity });
  const labels = { app: 'mysql' };
  const container = {
    name: 'main',
    image: 'busybox',
    command: ['sh', '-c', 'echo $NODE >> /data/nodes; sync; exec sleep 1d'],
    env: [{ name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
  };
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: VOLUME } }];
  await lab.apply({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name: 'mysql', namespace: 'default' },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      ...(kind === 'StatefulSet' && { serviceName: 'mysql' }),
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [container], volumes } },
    },
  });
  const pod = await running();
  expect(pod.spec.nodeName).toBe('n1');
  // It runs before its command has come to write.
  await eventually('what it writes', 20, async () => (await written(pod)) === 'n1\n');
  return pod;
}

/** What has been written to the volume of a pod that runs. */
async function written({ metadata, spec }: PodObject): Promise<string> {
  const file = `/run/kubelet/pods/${metadata.uid}/volumes/data/nodes`;
  return (await lab.machine(spec.nodeName!).exec(`cat ${file} || true`)).stdout;
}

const pods = (): Promise<PodObject[]> => cluster.list<PodObject>('pods', '-l', 'app=mysql');

/** The pod that runs, unlike another one. */
async function running(than?: PodObject): Promise<PodObject> {
  return eventually('a running pod', 180, async () => {
    const found = (await pods()).filter(({ metadata }) => metadata.uid !== than?.metadata.uid);
    return found.find(({ metadata, status }) => status.phase === 'Running' && !metadata.deletionTimestamp);
  });
}

/** Its successor is there, and is kept from being scheduled. */
async function gated(than: PodObject): Promise<PodObject> {
  return eventually('a successor behind a scheduling gate', 60, async () => {
    const found = (await pods()).filter(({ metadata }) => metadata.uid !== than.metadata.uid);
    return found.find(({ spec }) => spec.schedulingGates?.some(({ name }) => name === 'rehome.io/volume-moves'));
  });
}

/** The successor runs on another node, on all that its predecessor wrote, and nothing is left over. */
async function expectMoved(pod: PodObject): Promise<void> {
  const successor = await running(pod);
  const node = successor.spec.nodeName!;
  expect(node).not.toBe('n1');
  const migrate = await cluster.reaches(VOLUME, 'Completed');
  expect(migrate.status?.targetNode).toBe(node);
  expect(await cluster.nodeOf(VOLUME)).toBe(node);
  await eventually('what both have written', 20, async () => (await written(successor)) === `n1\n${node}\n`);
  expect(await nodeStorage(lab.machine('n1'))).toEqual([]);
  await eventually('no mark on the claim', 30, async () => {
    const { metadata } = await cluster.get<{ metadata: { annotations?: Record<string, string> } }>('pvc', VOLUME);
    return !Object.keys(metadata.annotations ?? {}).some((key) => key.startsWith('rehome.io/evict-'));
  });
}

async function events(pod: PodObject): Promise<string[]> {
  const found = await cluster.list<{ reason: string; regarding: { uid?: string } }>('events.events.k8s.io');
  return found.filter(({ regarding }) => regarding.uid === pod.metadata.uid).map(({ reason }) => reason);
}

describe.each(KINDS)('where the PersistentVolume %s', (_, affinity) => {
  test('method 1: kubectl label pod, kubectl delete pod', async () => {
    const pod = await startWorkload('StatefulSet', affinity);
    await lab.kubectl(['label', 'pod', pod.metadata.name, `${LABEL}=start`]);
    await lab.kubectl(['delete', 'pod', pod.metadata.name], { timeoutSeconds: 60 });
    await gated(pod);
    await expectMoved(pod);
    expect(await events(pod)).toEqual(expect.arrayContaining(['PodEvictionStarted', 'PodEvictionCompleted']));
  });

  test('method 2: kubectl apply of a LocalVolumeMigrate, kubectl delete pod', async () => {
    const pod = await startWorkload('Deployment', affinity);
    await lab.apply({
      apiVersion: 'hwameistor.io/v1alpha1',
      kind: 'LocalVolumeMigrate',
      metadata: { name: `migrate-${VOLUME}` },
      spec: { sourceNode: 'n1', targetNodesSuggested: ['n2', 'n3'], volumeName: VOLUME, migrateAllVols: true },
    });
    await lab.kubectl(['delete', 'pod', pod.metadata.name], { timeoutSeconds: 60 });
    await expectMoved(pod);
    expect((await cluster.migration(VOLUME))?.metadata.name).toBe(`migrate-${VOLUME}`);
  });

  test('a pod that its kubelet evicts under pressure is followed on another node, once the mount that lingers has gone', async () => {
    const pod = await startWorkload('Deployment', affinity);
    await lab.pressure('n1', pod.metadata.name);
    await gated(pod);
    await eventually('a migration that waits for the mount', 30, async () =>
      (await cluster.migration(VOLUME))?.status?.message?.includes('volumesInUse of node n1'),
    );
    await expectMoved(pod);
    const left = await cluster.get<PodObject>('pod', pod.metadata.name);
    expect(left.status).toMatchObject({ phase: 'Failed', reason: 'Evicted' });
    expect(left.metadata.labels?.[LABEL]).toBe('completed');
  });
});

test('a labelled pod that is evicted by the API is moved as one that is deleted', async () => {
  const pod = await startWorkload('StatefulSet');
  await lab.kubectl(['label', 'pod', pod.metadata.name, `${LABEL}=start`]);
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod.metadata.name, namespace: 'default' } };
  const path = `/api/v1/namespaces/default/pods/${pod.metadata.name}/eviction`;
  await lab.kubectl(['create', '--raw', path, '-f', '-'], { stdin: JSON.stringify(eviction) });
  await expectMoved(pod);
});

test('the label of its node keeps the volume where it is, and the successor starts there', async () => {
  await lab.kubectl(['label', 'node', 'n1', `${LABEL}=disable`]);
  const pod = await startWorkload('StatefulSet');
  await lab.kubectl(['label', 'pod', pod.metadata.name, `${LABEL}=start`]);
  await lab.kubectl(['delete', 'pod', pod.metadata.name], { timeoutSeconds: 60 });
  const successor = await running(pod);
  expect(successor.spec.nodeName).toBe('n1');
  await eventually('the Event that says why', 30, async () => (await events(pod)).includes('PodEvictionStopped'));
  expect(await cluster.migration(VOLUME)).toBeUndefined();
});

test('what was evicted while the controller was away is moved when it is back, as soon as who slipped through goes', async () => {
  const pod = await startWorkload('Deployment');
  await lab.kill('controller');
  await lab.pressure('n1', pod.metadata.name);
  const slipped = await running(pod);
  expect(slipped.spec.nodeName).toBe('n1');
  await lab.start('controller');
  await eventually('a migration that says who holds it', 60, async () =>
    (await cluster.migration(VOLUME))?.status?.message?.includes(`pod default/${slipped.metadata.name}`),
  );
  await lab.kubectl(['delete', 'pod', slipped.metadata.name], { timeoutSeconds: 60 });
  const successor = await running(slipped);
  expect(successor.spec.nodeName).not.toBe('n1');
  await cluster.reaches(VOLUME, 'Completed');
});

test('a controller that is killed in the middle changes nothing: the successor waits, and starts on the other node', async () => {
  await lab.machine('n1').rate('40mbit');
  const pod = await startWorkload('StatefulSet');
  await lab.kubectl(['label', 'pod', pod.metadata.name, `${LABEL}=start`]);
  await lab.kubectl(['delete', 'pod', pod.metadata.name], { timeoutSeconds: 60 });
  await cluster.reaches(VOLUME, 'Syncing');
  await lab.kill('controller');
  expect((await gated(pod)).spec.nodeName).toBeUndefined();
  await lab.start('controller');
  await lab.machine('n1').rate('off');
  await expectMoved(pod);
});
