import { beforeEach, describe, expect, test } from 'vitest';
import { Cluster, eventually, everything } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

/** The state of storage and objects before, and a volume on n1 whose sync is under way and slow. */
async function syncUnderWay(): Promise<{ before: unknown }> {
  await cluster.filledVolume('data', 'n1', '64Mi');
  const before = await everything(cluster);
  await lab.machine('n1').rate('16mbit');
  await cluster.cordon('n1');
  await eventually('a sync under way', 60, async () => ((await cluster.migration('data'))?.status?.progress?.syncedBytes ?? 0) > 0);
  return { before };
}

async function expectAborted(before: unknown): Promise<void> {
  const { status } = await cluster.reaches('data', 'Aborted', 60);
  expect(status?.state).toBe('Aborted');
  // Tags, reservations and devices go before the phase is reported; agents' own reports may lag.
  expect(await everything(cluster)).toEqual(before);
}

describe('a move that has not begun to cut over is taken back, and all is exactly as it was', () => {
  test('when the node is uncordoned', async () => {
    const { before } = await syncUnderWay();
    await cluster.uncordon('n1');
    await expectAborted(before);
  });

  test('when the node is labelled hwameistor.io/eviction=disable, and it starts again when the label goes', async () => {
    const { before } = await syncUnderWay();
    await lab.kubectl(['label', 'node', 'n1', 'hwameistor.io/eviction=disable']);
    await expectAborted(before);
    await lab.machine('n1').rate('off');
    await lab.kubectl(['label', 'node', 'n1', 'hwameistor.io/eviction-']);
    await cluster.reaches('data', 'Completed');
  });

  test('when a person sends abort to its workflow; it then stays until the node was uncordoned', async () => {
    const { before } = await syncUnderWay();
    await temporal('workflow', 'signal', '--workflow-id', 'migrate-data', '--name', 'abort');
    await expectAborted(before);
    expect((await cluster.evacuated('n1'))?.status).toBe('False');
    await lab.machine('n1').rate('off');
    await cluster.uncordon('n1');
    await cluster.cordon('n1');
    await cluster.reaches('data', 'Completed');
  });
});

test('a node labelled before its drain keeps its volume, and after a reboot the pod runs on the same logical volume', async () => {
  await lab.createVolume({ name: 'data-web-0', node: 'n1', size: '32Mi' });
  const uuid = async (): Promise<string> =>
    (await lab.machine('n1').exec('lvs --noheadings -o lv_uuid --select lv_name=data-web-0')).stdout.trim();
  const before = await uuid();
  await lab.apply(webStatefulSet);
  const running = () => eventually('web-0 running', 60, async () => (await podPhase()) === 'Running');
  await running();

  await lab.kubectl(['label', 'node', 'n1', 'hwameistor.io/eviction=disable']);
  await lab.kubectl(['drain', 'n1', '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=60s']);
  await lab.kill('n1');
  await lab.start('n1');
  await cluster.uncordon('n1');
  await running();
  expect(await uuid()).toBe(before);
  expect(await cluster.migration('data-web-0')).toBeUndefined();
});

test('cordon, uncordon and cordon again in quick succession end with the volume moved', async () => {
  const sha256 = await cluster.filledVolume('data', 'n1', '32Mi');
  await cluster.cordon('n1');
  await cluster.uncordon('n1');
  await cluster.cordon('n1');
  await cluster.waitUntilEvacuated('n1');
  expect(await cluster.sha256('data', await cluster.nodeOf('data'))).toBe(sha256);
});

async function temporal(...args: string[]): Promise<void> {
  await lab.temporal(args);
}

async function podPhase(): Promise<string | undefined> {
  const { items } = await cluster.get<{ items: { status?: { phase?: string } }[] }>('pods', '-l', 'app=web');
  return items[0]?.status?.phase;
}

const webStatefulSet = {
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    serviceName: 'web',
    replicas: 1,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'web', image: 'busybox', command: ['sleep', '3600'], volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
      },
    },
    volumeClaimTemplates: [
      { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '32Mi' } } } },
    ],
  },
};
