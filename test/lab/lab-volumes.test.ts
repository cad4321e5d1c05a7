/**
 * The volumes that the lab makes besides plain ones, held to what HwameiStor's are. Nothing here is Rehome's: the nodes are labelled so that they
 * keep them.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Cluster, eventually, POOL } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const n1 = lab.machine('n1');
const n2 = lab.machine('n2');

beforeAll(async () => {
  await cluster.reset();
  await lab.kubectl(['label', 'node', '--all', '--overwrite', 'hwameistor.io/eviction=disable']);
});
afterAll(() => cluster.reset());

test('a thin volume lies in a thin pool, which is made for the first and goes with the last', async () => {
  const pools = () => logicalVolumes('lv_name,pool_lv');
  for (const name of ['thin-1', 'thin-2']) await lab.createVolume({ name, node: 'n1', size: '64Mi', thin: true });
  expect(await pools()).toEqual(
    expect.arrayContaining(['LocalStorage_ThinPool', 'thin-1 LocalStorage_ThinPool', 'thin-2 LocalStorage_ThinPool']),
  );
  await lab.deleteVolume('thin-1');
  expect(await pools()).toContain('LocalStorage_ThinPool');
  await lab.deleteVolume('thin-2');
  expect(await pools()).not.toContain('LocalStorage_ThinPool');
});

test('a logical volume that is not to be activated by itself stays inactive over a reboot, any other is active again', async () => {
  for (const name of ['kept', 'given-up']) await n1.exec(['lvcreate', '-qq', '--yes', '--size', '8M', '--name', name, POOL]);
  await n1.exec(`lvchange --setautoactivation n ${POOL}/given-up`);
  await reboot();
  expect(await logicalVolumes('lv_name,lv_active')).toEqual(expect.arrayContaining(['given-up', 'kept active']));
  await n1.exec(`lvremove -qq --yes ${POOL}/kept ${POOL}/given-up`);
});

/** The lab makes one by the commands of DRBD 8.4. */
const withDrbd84 = test.skipIf(process.env.REHOME_LAB_DRBD_MODULES);

withDrbd84(
  'a volume on two nodes is the same on both, follows its pod from one to the other, and is whole again after a reboot',
  async () => {
    await lab.createVolume({ name: 'data', node: ['n1', 'n2'], size: '32Mi' });
    for (const machine of [n1, n2]) expect(await diskStates(machine)).toBe('UpToDate/UpToDate');
    await lab.apply(writer);
    const first = await eventually('a running pod', 60, runningOn);
    const second = first === 'n1' ? 'n2' : 'n1';
    expect(await roles(first)).toBe('Primary/Secondary');
    // It runs as soon as its process does, and has a second when it is told to go.
    await eventually('what it wrote', 30, async () => (await writtenOn()) === `${first}\n`);

    await cluster.cordon(first);
    await lab.kubectl(['delete', 'pod', '-l', 'app=writer', '--timeout=30s'], { timeoutSeconds: 40 });
    await eventually(`the pod running on ${second}`, 60, async () => (await runningOn()) === second);
    expect(await roles(second)).toBe('Primary/Secondary');
    await eventually('what it wrote on both nodes', 10, async () => (await writtenOn()) === `${first}\n${second}\n`);

    await lab.kubectl(['delete', 'deployment', 'writer', '--timeout=30s'], { timeoutSeconds: 40 });
    await eventually('both ends secondary', 30, async () => (await roles('n1')) === 'Secondary/Secondary');
    await reboot();
    await eventually('both copies whole', 30, async () => (await diskStates(n1)) === 'UpToDate/UpToDate');
    expect((await n1.exec(`readlink /dev/${POOL}-HA/data`)).stdout).toMatch(/^\/dev\/drbd\d+\n$/);

    await lab.deleteVolume('data');
    for (const machine of [n1, n2]) expect((await machine.exec('grep -c cs: /proc/drbd || true; ls /etc/drbd.d')).stdout).toBe('0\n');
  },
);

/** Of n1, a line for each, its fields with one space between them. */
async function logicalVolumes(fields: string): Promise<string[]> {
  const { stdout } = await n1.exec(['lvs', '--noheadings', '-o', fields, POOL]);
  return stdout.split('\n').map((line) => line.trim().replace(/\s+/g, ' '));
}

async function reboot(): Promise<void> {
  await lab.kill('n1');
  await lab.start('n1');
}

async function diskStates(machine: typeof n1): Promise<string> {
  return (await machine.exec('drbdadm dstate data')).stdout.trim();
}

async function roles(node: string): Promise<string> {
  return (await lab.machine(node).exec('drbdadm role data')).stdout.trim();
}

interface PodObject {
  readonly metadata: { readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly phase?: string };
}

async function runningOn(): Promise<string | undefined> {
  const pods = await cluster.list<PodObject>('pods', '-l', 'app=writer');
  return pods.find(({ metadata, status }) => status.phase === 'Running' && !metadata.deletionTimestamp)?.spec.nodeName;
}

/** What the running pod sees in its file. */
async function writtenOn(): Promise<string> {
  const [pod] = await cluster.list<PodObject>('pods', '-l', 'app=writer');
  const file = `/run/kubelet/pods/${pod!.metadata.uid}/volumes/data/nodes`;
  return (await lab.machine(pod!.spec.nodeName!).exec(`cat ${file} 2>/dev/null || true`)).stdout;
}

const writer = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'writer', namespace: 'default' },
  spec: {
    replicas: 1,
    strategy: { type: 'Recreate' },
    selector: { matchLabels: { app: 'writer' } },
    template: {
      metadata: { labels: { app: 'writer' } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'main',
            image: 'busybox',
            command: ['sh', '-c', 'echo $(NODE) >> /data/nodes; sync; exec sleep 1d'],
            env: [{ name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
          },
        ],
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
      },
    },
  },
};
