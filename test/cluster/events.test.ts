import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../lab/command.ts';
import { EventRecorder, type Regarding, regarding } from '../../system/kube/events.ts';
import { localVolumes } from '../../system/kube/hwameistor-resources.ts';
import { events, type KubeEvent, nodes, persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import { type Cluster, startCluster } from './cluster.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(async () => cluster?.stop());

const errors: unknown[] = [];
const recorder = (instance: string): EventRecorder =>
  new EventRecorder({
    client: cluster.client,
    reportingController: 'rehome.io/controller',
    reportingInstance: instance,
    onError: (error) => errors.push(error),
  });

async function eventsAbout({ uid, namespace = 'default' }: Regarding): Promise<KubeEvent[]> {
  return (await cluster.client.list(events, { namespace })).filter((event) => event.regarding?.uid === uid);
}

async function aNode(name: string): Promise<Regarding> {
  return regarding(nodes, await cluster.client.create(nodes, { metadata: { name } }));
}

async function objectsOfAllKinds(): Promise<Regarding[]> {
  const { client } = cluster;
  const metadata = { name: 'data', namespace: 'default' };
  const container = { name: 'c', image: 'none' };
  const claimSpec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
  const volumeSpec = {
    requiredCapacityBytes: 2 ** 26,
    poolName: 'LocalStorage_PoolHDD',
    replicaNumber: 1,
    convertible: false,
    delete: false,
  };
  return [
    await aNode('n1'),
    regarding(pods, await client.create(pods, { metadata, spec: { containers: [container] } })),
    regarding(persistentVolumeClaims, await client.create(persistentVolumeClaims, { metadata, spec: claimSpec })),
    regarding(localVolumes, await client.create(localVolumes, { metadata: { name: 'data' }, spec: volumeSpec })),
  ];
}

test('an Event is shown by kubectl describe on node, pod, claim and LocalVolume', async () => {
  for (const object of await objectsOfAllKinds()) {
    await recorder('controller-1').tell({ regarding: object, reason: 'VolumeMoved', note: 'data moved from n1 to n2' });
    const namespace = object.namespace ? ['--namespace', object.namespace] : [];
    const { kubeconfig, kubectl } = cluster.controlPlane;
    const { stdout } = await run(kubectl, ['--kubeconfig', kubeconfig, 'describe', object.kind, object.name, ...namespace]);
    expect(stdout, object.kind).toMatch(/Normal\s+VolumeMoved\s.*rehome\.io\/controller.*\s+data moved from n1 to n2/);
  }
  expect(errors).toEqual([]);
});

test('an Event that is told again, also by another process, is counted up', async () => {
  const node = await aNode('n2');
  const event = { regarding: node, reason: 'WaitingForTarget', note: 'n3: PoolFull', type: 'Warning' } as const;
  await recorder('controller-1').tell(event);
  await recorder('controller-1').tell(event);
  await recorder('controller-2').tell(event);
  const told = await eventsAbout(node);
  expect(told).toMatchObject([{ reason: 'WaitingForTarget', type: 'Warning', series: { count: 3 }, reportingInstance: 'controller-1' }]);

  await recorder('controller-1').tell({ ...event, note: 'n3: NodeTainted' });
  expect(await eventsAbout(node)).toHaveLength(2);
  expect(errors).toEqual([]);
});

test('a note that is too long is cut, not refused, and never within a character', async () => {
  const node = await aNode('n3');
  await recorder('controller-1').tell({ regarding: node, reason: 'NeedsAttention', note: 'ä'.repeat(2000) });
  const [event] = await eventsAbout(node);
  expect(event?.note).toMatch(/^ä{500,512}$/);
  expect(errors).toEqual([]);
});

test('an Event that cannot be told is reported and holds nothing up', async () => {
  const node = await aNode('n4');
  await recorder('controller-1').tell({ regarding: { ...node, namespace: 'no-such-namespace' }, reason: 'VolumeMoved', note: 'moved' });
  expect(errors.splice(0)).toMatchObject([{ status: 404 }]);
});
