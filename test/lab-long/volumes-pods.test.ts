/** Pods with several claims, and claims with several pods: after a drain every pod runs again, beside all of its volumes. */
import { beforeEach, expect, test } from 'vitest';
import { Cluster, eventually, nodeStorage } from '../lab/support.ts';
import { withoutThinPool } from './volume-support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const n1 = lab.machine('n1');

beforeEach(() => cluster.reset());

interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly phase?: string };
}

/** Those that run, and are not on their way out. */
async function running(): Promise<PodObject[]> {
  const pods = await cluster.list<PodObject>('pods', '-l', 'app=many');
  return pods.filter(({ metadata, status }) => status.phase === 'Running' && !metadata.deletionTimestamp);
}

const runningElsewhere = (count: number): Promise<PodObject[]> =>
  eventually(`${count} pods running away from n1`, 240, async () => {
    const pods = await running();
    return pods.length === count && pods.every(({ spec }) => spec.nodeName !== 'n1') ? pods : undefined;
  });

/** In the file system of a pod's volume, as its node has it mounted. */
async function inVolume({ metadata, spec }: PodObject, volume: string, script: string): Promise<string> {
  const directory = `/run/kubelet/pods/${metadata.uid}/volumes/${volume}`;
  return (await lab.machine(spec.nodeName!).exec(`cd ${directory} && ${script}`)).stdout;
}

async function drain(node: string): Promise<void> {
  await lab.kubectl(['drain', node, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=60s'], { timeoutSeconds: 70 });
}

function deployment(replicas: number, container: object, claims: readonly string[]): object {
  const labels = { app: 'many' };
  const main = { name: 'main', image: 'busybox', ...container };
  const volumes = claims.map((claimName) => ({ name: claimName, persistentVolumeClaim: { claimName } }));
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'many', namespace: 'default' },
    spec: {
      replicas,
      strategy: { type: 'Recreate' },
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [main], volumes } },
    },
  };
}

/** Of four kinds: ext4, xfs on a thin volume, a raw device, the smallest there is. */
const FOUR = ['files', 'archive', 'raw', 'tiny'] as const;

const storage = async (): Promise<string[][]> => (await Promise.all(lab.machines.map(nodeStorage))).map(withoutThinPool);

/** One pod on n1 with four volumes, which says in each of its file systems where it ran. @returns the nodes' storage while nobody used any of them. */
async function podWithFour(): Promise<string[][]> {
  await lab.createVolume({ name: 'files', node: 'n1', size: '32Mi' });
  await lab.createVolume({ name: 'archive', node: 'n1', size: '320Mi', fileSystem: 'xfs', thin: true });
  await lab.createVolume({ name: 'raw', node: 'n1', size: '12Mi', fileSystem: 'block' });
  await lab.createVolume({ name: 'tiny', node: 'n1', size: '4Mi' });
  const write = 'for f in /files /archive /tiny; do echo $(NODE) >> $f/nodes; done; sync; exec sleep 1d <> /dev/raw';
  const fileSystems = ['files', 'archive', 'tiny'].map((name) => ({ name, mountPath: `/${name}` }));
  const container = {
    command: ['sh', '-c', write],
    env: [{ name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
    volumeMounts: fileSystems,
    volumeDevices: [{ name: 'raw', devicePath: '/dev/raw' }],
  };
  const unused = await storage();
  await lab.apply(deployment(1, container, FOUR));
  const pod = await eventually('a running pod', 90, async () => (await running())[0]);
  await eventually('what the pod writes', 20, async () => (await inVolume(pod, 'tiny', 'cat nodes')) === 'n1\n');
  return unused;
}

/** The four are where the pod runs, and so is all that it has written on both nodes. */
async function expectTogether(pod: PodObject): Promise<void> {
  const target = pod.spec.nodeName!;
  for (const volume of FOUR) expect(await cluster.nodeOf(volume), volume).toBe(target);
  for (const volume of ['files', 'archive', 'tiny']) {
    await eventually(`what was written to ${volume} on both nodes`, 20, async () => {
      return (await inVolume(pod, volume, 'cat nodes')) === `n1\n${target}\n`;
    });
  }
}

/** None has left the source before the last of them was compared. */
async function expectNoneLeftEarly(): Promise<void> {
  const times = await Promise.all(FOUR.map(async (volume) => (await cluster.migration(volume))!.status!.phaseTimes!));
  const lastCompared = times
    .map(({ Verifying }) => Verifying!)
    .toSorted()
    .at(-1)!;
  const firstGone = times.map(({ CuttingOver }) => CuttingOver!).toSorted()[0]!;
  expect(firstGone > lastCompared, `the first left at ${firstGone}, the last was compared from ${lastCompared} on`).toBe(true);
}

test('the volumes of a pod leave for one node together, where the pod runs again with all that it wrote', async () => {
  await podWithFour();
  await drain('n1');
  const [pod] = await runningElsewhere(1);
  await cluster.waitUntilEvacuated('n1', 60);
  await expectTogether(pod!);
  await expectNoneLeftEarly();
});

test('they do so when their pod is evicted by its label from a node that is not cordoned', async () => {
  await podWithFour();
  const [pod] = await running();
  await lab.kubectl(['label', 'pod', pod!.metadata.name, 'hwameistor.io/eviction=start']);
  await lab.kubectl(['delete', 'pod', pod!.metadata.name], { timeoutSeconds: 60 });
  const [successor] = await runningElsewhere(1);
  for (const volume of FOUR) await cluster.reaches(volume, 'Completed');
  await expectTogether(successor!);
  await expectNoneLeftEarly();
});

test('they do so when a LocalVolumeMigrate for one of them asks for all, and go to the node that it suggests', async () => {
  await podWithFour();
  const [pod] = await running();
  await lab.apply({
    apiVersion: 'hwameistor.io/v1alpha1',
    kind: 'LocalVolumeMigrate',
    metadata: { name: 'together' },
    spec: { sourceNode: 'n1', targetNodesSuggested: ['n3'], volumeName: 'files', migrateAllVols: true },
  });
  for (const volume of FOUR) await cluster.reaches(volume, 'AwaitingDetach', 60);
  await lab.kubectl(['delete', 'pod', pod!.metadata.name], { timeoutSeconds: 60 });
  const [successor] = await runningElsewhere(1);
  expect(successor!.spec.nodeName).toBe('n3');
  for (const volume of FOUR) await cluster.reaches(volume, 'Completed');
  await expectTogether(successor!);
  await expectNoneLeftEarly();
});

test('an abort of one of them leaves all as they were, and the pod runs again where it ran', async () => {
  const before = await podWithFour();
  await n1.rate('20mbit');
  await drain('n1');
  await eventually('a sync of the largest', 90, async () => ((await cluster.migration('archive'))?.status?.progress?.syncedBytes ?? 0) > 0);
  await eventually('one that waits for it', 90, async () => {
    const { phase, message = '' } = (await cluster.migration('tiny'))?.status ?? {};
    return phase === 'AwaitingDetach' && message.includes('waits for volume');
  });
  const { metadata } = (await cluster.migration('raw'))!;
  await lab.kubectl(['patch', 'lvmigrate', metadata.name, '--type=merge', '-p', '{"spec":{"abort":true}}']);
  for (const volume of FOUR) await cluster.reaches(volume, 'Aborted', 90);
  await n1.rate('off');
  expect(await storage()).toEqual(before);
  await cluster.uncordon('n1');
  const pod = await eventually('the pod on n1', 90, async () => (await running()).find(({ spec }) => spec.nodeName === 'n1'));
  await eventually('what both have written', 20, async () => (await inVolume(pod, 'files', 'cat nodes')) === 'n1\nn1\n');
});

test('a claim that two pods of the node use moves when both have gone, and both run again beside it', async () => {
  await lab.createVolume({ name: 'shared', node: 'n1', size: '32Mi' });
  const container = {
    command: ['sh', '-c', 'echo $(NODE) > /shared/$(POD); sync; exec sleep 1d'],
    env: [
      { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    ],
    volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
  };
  await lab.apply(deployment(2, container, ['shared']));
  const first = await eventually('two running pods', 90, async () => {
    const pods = await running();
    return pods.length === 2 ? pods : undefined;
  });
  expect(first.map(({ spec }) => spec.nodeName)).toEqual(['n1', 'n1']);
  const namesOf = (pods: readonly PodObject[]) => pods.map(({ metadata }) => metadata.name).sort();
  const areThere = (pod: PodObject, names: readonly string[]) =>
    eventually(`the files of ${names.length} pods`, 20, async () => {
      const files = (await inVolume(pod, 'shared', 'ls')).split('\n').filter((name) => name !== '' && name !== 'lost+found');
      expect(files.sort()).toEqual(names);
      return true;
    });
  // A pod that runs may not have written yet.
  await areThere(first[0]!, namesOf(first));

  await drain('n1');
  const second = await runningElsewhere(2);
  await cluster.waitUntilEvacuated('n1', 60);
  expect(new Set(second.map(({ spec }) => spec.nodeName))).toEqual(new Set([await cluster.nodeOf('shared')]));
  await areThere(second[0]!, namesOf([...first, ...second]));
});
