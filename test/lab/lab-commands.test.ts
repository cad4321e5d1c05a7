/** The lab's own commands: each does what it says, can be seen to, and is taken back. Nothing here is Rehome's. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CommandError } from '../../lab/command.ts';
import { Cluster, eventually } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const n1 = lab.machine('n1');
const n2 = lab.machine('n2');
const PORT = 7999;

beforeAll(() => cluster.reset());
afterEach(async () => {
  for (const name of ['apiserver', 'temporal', 'kubelet-n1', 'agent-n1']) await lab.start(name);
  await n1.heal();
  await n1.rate('off');
});
afterAll(() => cluster.reset());

describe('the storage network of a node', () => {
  const reachesPeer = async (): Promise<boolean> =>
    (await n1.exec(['ping', '-c', '1', '-W', '1', n2.storageAddress], { expectedExitCodes: [1] })).exitCode === 0;

  test('is cut and healed, while commands reach the node and its link stays up', async () => {
    expect(await reachesPeer()).toBe(true);
    await n1.cut('storage');
    expect(await reachesPeer()).toBe(false);
    expect((await n1.exec('cat /sys/class/net/eth0/carrier')).stdout).toBe('1\n');
    await n1.heal();
    await eventually('an answer from n2', 10, reachesPeer);
  });

  /** Seconds that 4 MiB take from one node to the other. */
  async function secondsToSend(from: typeof n1, to: typeof n1): Promise<number> {
    const startedAt = Date.now();
    await Promise.all([
      to.exec(`socat -u TCP-LISTEN:${PORT},bind=${to.storageAddress},reuseaddr OPEN:/dev/null`),
      from.exec(`head -c 4194304 /dev/zero | socat -u - TCP:${to.storageAddress}:${PORT},retry=100,interval=0.1`),
    ]);
    return (Date.now() - startedAt) / 1000;
  }

  test('is limited in both directions, until the limit is lifted', async () => {
    await n1.rate('8mbit');
    expect(await secondsToSend(n1, n2)).toBeGreaterThan(3);
    expect(await secondsToSend(n2, n1)).toBeGreaterThan(3);
    await n1.rate('off');
    expect(await secondsToSend(n1, n2)).toBeLessThan(3);
  });
});

test('an agent that is killed stays away until it is started', async () => {
  const { restartCount } = await eventually('a Ready agent', 10, async () => {
    const agent = await agentOnN1();
    return agent?.ready && agent;
  });
  await lab.kill('agent-n1');
  await eventually('an agent that is not Ready', 15, async () => (await agentOnN1())?.ready === false);
  // Any other container its kubelet would start again within a second or two.
  await expect(eventually('an agent that came back by itself', 5, async () => (await agentOnN1())?.ready)).rejects.toThrow('in vain');
  await lab.start('agent-n1');
  expect(await agentOnN1()).toMatchObject({ ready: true, restartCount: restartCount + 1 });
});

test('the API server refuses connections while it is killed, and has all it had when it is started', async () => {
  const before = await nodeUids();
  await lab.kill('apiserver');
  await expect(nodeUids()).rejects.toThrow(CommandError);
  await lab.start('apiserver');
  expect(await nodeUids()).toEqual(before);
});

test('Temporal does not answer while it is killed, and knows what it knew when it is started', async () => {
  // One that begins anew gives its namespace another id.
  const namespaceId = async (): Promise<string> => {
    const { stdout } = await lab.temporal(['operator', 'namespace', 'describe', '--namespace', 'default', '-o', 'json'], {
      timeoutSeconds: 15,
    });
    return JSON.parse(stdout).namespaceInfo.id;
  };
  const before = await namespaceId();
  await lab.kill('temporal');
  await expect(namespaceId()).rejects.toThrow(CommandError);
  await lab.start('temporal');
  expect(await eventually('an answer', 20, namespaceId)).toBe(before);
});

test('a node whose kubelet is killed is given up, and is Ready again when it is started', async () => {
  expect(await isReady('n1')).toBe(true);
  await lab.kill('kubelet-n1');
  await eventually('n1 not Ready', 60, async () => !(await isReady('n1')));
  await lab.start('kubelet-n1');
  await eventually('n1 Ready', 30, () => isReady('n1'));
});

interface AgentPod {
  readonly spec: { readonly nodeName?: string };
  readonly status: { readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[] };
}

async function agentOnN1(): Promise<{ readonly ready: boolean; readonly restartCount: number } | undefined> {
  const pods = await cluster.list<AgentPod>('pods', '-n', 'rehome-system');
  return pods.find(({ spec }) => spec.nodeName === 'n1')?.status.containerStatuses?.[0];
}

async function nodeUids(): Promise<string[]> {
  return (await cluster.list<{ metadata: { uid: string } }>('nodes', '--request-timeout=5s')).map(({ metadata }) => metadata.uid);
}

async function isReady(node: string): Promise<boolean> {
  const { status } = await cluster.get<{ status: { conditions: { type: string; status: string }[] } }>('node', node);
  return status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}
