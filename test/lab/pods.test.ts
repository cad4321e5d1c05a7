/** The lab's own kubelet, held to what a kubelet does. Nothing here is Rehome's: the node is labelled so that it keeps its volumes. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Cluster, eventually } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;

interface PodObject {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly containerStatuses?: readonly { readonly restartCount: number; readonly ready: boolean }[];
  };
}

interface NodeObject {
  readonly status: {
    readonly conditions: readonly { readonly type: string; readonly status: string }[];
    readonly volumesInUse?: readonly string[];
    readonly volumesAttached?: readonly object[];
  };
}

beforeAll(() => lab.kubectl(['label', 'node', '--all', '--overwrite', 'hwameistor.io/eviction=disable']));
beforeEach(async () => {
  await cluster.reset();
  await lab.kubectl(['label', 'node', '--all', '--overwrite', 'hwameistor.io/eviction=disable']);
});
afterAll(() => cluster.reset());

const readyPod = (name: string, seconds = 60): Promise<PodObject> =>
  eventually(`pod ${name} Ready`, seconds, async () => {
    const pods = await cluster.list<PodObject>('pods');
    return pods.find(({ metadata, status }) => metadata.name.startsWith(name) && status.containerStatuses?.every(({ ready }) => ready));
  });

/** What a container has printed, as its node keeps it. */
async function log(node: string, pod: PodObject): Promise<string> {
  return (await lab.machine(node).exec(`cat /run/kubelet/pods/${pod.metadata.uid}/containers/main/log`)).stdout;
}

async function logged(node: string, pod: PodObject, text: string): Promise<void> {
  let printed = '';
  const begins = async (): Promise<boolean> => {
    printed = await log(node, pod);
    return printed.startsWith(text);
  };
  await eventually(`a log that begins with ${JSON.stringify(text)}`, 20, begins).catch((error: Error) => {
    throw new Error(`${error.message}; it is ${JSON.stringify(printed)}`);
  });
}

function workload(kind: 'StatefulSet' | 'Deployment', name: string, container: object, volumes: object[] = []): object {
  const labels = { app: name };
  const main = { name: 'main', image: 'busybox', ...container };
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      ...(kind === 'StatefulSet' ? { serviceName: name } : { strategy: { type: 'Recreate' } }),
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 5, containers: [main], volumes } },
    },
  };
}

const claimed = (claimName: string): object[] => [{ name: 'data', persistentVolumeClaim: { claimName } }];
const onFileSystem = (name: string, claim: string): object =>
  workload(
    'StatefulSet',
    name,
    {
      command: ['sh', '-c', 'cat /data/starts 2>/dev/null; echo $(POD) on $(NODE) >> /data/starts; sync; echo written; exec sleep 1d'],
      env: [
        { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      ],
      volumeMounts: [{ name: 'data', mountPath: '/data' }],
    },
    claimed(claim),
  );
const onRawDevice = (name: string, claim: string): object =>
  workload(
    'Deployment',
    name,
    {
      command: ['sh', '-c', 'head -c 5 /dev/volume; printf hello | dd of=/dev/volume conv=fsync 2>/dev/null; exec sleep 1d <> /dev/volume'],
      volumeDevices: [{ name: 'data', devicePath: '/dev/volume' }],
    },
    claimed(claim),
  );

describe('pods with volumes', () => {
  beforeEach(async () => {
    await lab.createVolume({ name: 'files', node: 'n1', size: '32Mi' });
    await lab.createVolume({ name: 'raw', node: 'n1', size: '16Mi', fileSystem: 'block' });
    await lab.apply(onFileSystem('web', 'files'), onRawDevice('block', 'raw'));
  });

  const openCounts = async (): Promise<string[]> =>
    (await lab.machine('n1').exec(['dmsetup', 'info', '-c', '--noheadings', '-o', 'open'])).stdout.trim().split('\n');

  test('are drained by kubectl, their volumes unmounted and detached, and after a reboot they run again on the same data', async () => {
    for (const pod of [await readyPod('web'), await readyPod('block')]) expect(pod.spec.nodeName).toBe('n1');
    // A container is ready before its command has come to open the device.
    await eventually('two open volumes', 20, async () => (await openCounts()).join() === '1,1');
    expect((await cluster.get<NodeObject>('node', 'n1')).status.volumesInUse).toHaveLength(2);
    expect(await publishedNodes()).toEqual(['n1', 'n1']);

    await lab.kubectl(['drain', 'n1', '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=60s'], { timeoutSeconds: 70 });
    await eventually('no VolumeAttachment', 30, async () => (await cluster.list('volumeattachments')).length === 0);
    expect(await openCounts()).toEqual(['0', '0']);
    const { status } = await cluster.get<NodeObject>('node', 'n1');
    expect(status.volumesInUse ?? []).toEqual([]);
    expect(await publishedNodes()).toEqual(['', '']);
    await eventually('two Pending pods', 20, async () => {
      const pods = await cluster.list<PodObject>('pods');
      return pods.length === 2 && pods.every(({ status }) => status.phase === 'Pending');
    });

    await lab.kill('n1');
    await lab.start('n1');
    await cluster.uncordon('n1');
    await logged('n1', await readyPod('web'), 'web-0 on n1\nwritten\n');
    await logged('n1', await readyPod('block'), 'hello');
  });

  test('go on when their node was rebooted beneath them', async () => {
    const before = await readyPod('web');
    await logged('n1', before, 'written\n');
    await lab.kill('n1');
    await eventually('n1 NotReady', 60, async () => !(await isReady('n1')));
    expect((await cluster.get<PodObject>('pod', 'web-0')).status.phase).toBe('Running');

    await lab.start('n1');
    await eventually('n1 Ready', 30, () => isReady('n1'));
    const again = await eventually('a restarted container', 60, async () => {
      const pod = await readyPod('web');
      return pod.status.containerStatuses?.[0]?.restartCount === 1 ? pod : undefined;
    });
    expect(again.metadata.uid).toBe(before.metadata.uid);
    await logged('n1', again, 'web-0 on n1\nwritten\n');
  });

  test('outlive their kubelet, and the next one finds them', async () => {
    const before = await readyPod('web');
    await logged('n1', before, 'written\n');
    await lab.kill('kubelet-n1');
    await lab.start('kubelet-n1');
    await lab.kubectl(['delete', 'pod', 'web-0', '--timeout=30s'], { timeoutSeconds: 40 });
    const after = await readyPod('web');
    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    await logged('n1', after, 'web-0 on n1\nwritten\n');
    expect((await readyPod('block')).status.containerStatuses?.[0]?.restartCount).toBe(0);
  });
});

test('a pod does not start where its volume has no Ready replica', async () => {
  await lab.createVolume({ name: 'files', node: 'n1', size: '16Mi' });
  const [replica] = await cluster.list<{ metadata: { name: string } }>('localvolumereplicas');
  await lab.kubectl(['patch', 'localvolumereplica', replica!.metadata.name, '--type=merge', '-p', '{"spec":{"nodeName":"n2"}}']);
  await lab.apply(onFileSystem('web', 'files'));
  await eventually('an attachment that says why', 30, async () => {
    const attachments = await cluster.list<{ status?: { attachError?: { message: string } } }>('volumeattachments');
    return attachments.some(({ status }) => status?.attachError?.message === 'volume files has no replica on n1');
  });
  await lab.kubectl(['delete', 'statefulset', 'web']);
  await eventually('no VolumeAttachment', 60, async () => (await cluster.list('volumeattachments')).length === 0);
});

test('a container that ends is started again, with what the pod asks for in its environment', async () => {
  await lab.apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key' }, stringData: { word: 'xyzzy' } });
  await lab.apply(
    workload(
      'Deployment',
      'short',
      {
        command: ['sh', '-c', 'echo $WORD; cat /etc/key/word; echo; [ -s /var/run/secrets/kubernetes.io/serviceaccount/token ]; exit $?'],
        env: [{ name: 'WORD', valueFrom: { secretKeyRef: { name: 'key', key: 'word' } } }],
        volumeMounts: [{ name: 'key', mountPath: '/etc/key', readOnly: true }],
      },
      [{ name: 'key', secret: { secretName: 'key' } }],
    ),
  );
  const pod = await eventually('a second attempt', 30, async () => {
    const [pod] = await cluster.list<PodObject>('pods');
    return (pod?.status.containerStatuses?.[0]?.restartCount ?? 0) > 0 ? pod : undefined;
  });
  await logged(pod.spec.nodeName!, pod, 'xyzzy\n'.repeat(4));
  await lab.kubectl(['delete', 'secret', 'key']);
});

async function isReady(node: string): Promise<boolean> {
  const { status } = await cluster.get<NodeObject>('node', node);
  return status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

async function publishedNodes(): Promise<string[]> {
  const volumes = await cluster.list<{ status?: { publishedNode?: string } }>('localvolumes');
  return volumes.map(({ status }) => status?.publishedNode ?? '');
}
