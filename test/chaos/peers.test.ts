/** Who may connect to a mirror: strangers on a third node, at ports that are waiting and at ports that are not, and where the secret is to be seen. */
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Machine } from '../../lab/machines/index.ts';
import { Cluster, eventually, POOL } from '../lab/support.ts';

const cluster = new Cluster();
const { lab } = cluster;
const STRANGER = 'stranger';
const STRANGERS_MINOR = 900;
const SIZE_MIB = 256;

interface Migrate {
  readonly metadata: { readonly uid: string };
  readonly status?: { readonly pairing?: number };
}

/** Strangers call from here, and speak as 8.4 does. With DRBD 9: REHOME_LAB_DRBD9_NODES=n1,n2. */
const STRANGERS_NODE = 'n3';
const { REHOME_LAB_DRBD_MODULES: modules, REHOME_LAB_DRBD9_NODES: nodesWith9 } = process.env;
const withDrbd9 = modules !== undefined;
const strangersHave9 = withDrbd9 && (nodesWith9 ?? STRANGERS_NODE).split(',').includes(STRANGERS_NODE);

/** Of every mirror that a test of this file made. */
const secrets = new Set<string>();

beforeEach(() => cluster.reset());
afterEach(async () => {
  const key = await clusterKey();
  for (const { metadata, status } of await cluster.list<Migrate>('localvolumemigrates')) {
    for (let pairing = 0; pairing <= (status?.pairing ?? 0); pairing += 1) secrets.add(secretOf(key, metadata.uid, pairing));
  }
  for (const machine of lab.machines) await hangUp(machine);
  await lab.kubectl(['taint', 'node', STRANGERS_NODE, 'test-'], { expectedExitCodes: [1] });
});

/** So the mirror's ends are n1 and n2. */
const keepVolumesAway = () => lab.kubectl(['taint', 'node', STRANGERS_NODE, 'test=stranger:NoSchedule']);

/** As the node has it in a file. */
async function clusterKey(): Promise<Buffer> {
  const { data } = await cluster.get<{ data: { key: string } }>('secret', 'rehome-cluster-key', '-n', 'rehome-system');
  return Buffer.from(data.key, 'base64');
}

function secretOf(key: Buffer, uid: string, pairing: number): string {
  return createHmac('sha256', key).update(`${uid}/${pairing}`).digest('hex').slice(0, 32);
}

interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

const format = ({ address, port }: SocketAddress): string => `ipv4:${address}:${port}`;

/** A DRBD that is no mirror's calls from this node, once a second, until it is told to hang up or gives up. */
async function call(stranger: Machine, from: SocketAddress, to: SocketAddress, secret?: string): Promise<void> {
  const options = ['--protocol=C', '--connect-int=1', ...(secret ? ['--cram-hmac-alg=sha256', `--shared-secret=${secret}`] : [])];
  await stranger.exec('modprobe drbd usermode_helper=disabled; echo disabled > /sys/module/drbd/parameters/usermode_helper');
  await stranger.exec(['drbdsetup', 'new-resource', STRANGER]);
  await stranger.exec(['drbdsetup', 'new-minor', STRANGER, String(STRANGERS_MINOR), '0']);
  await stranger.exec(['drbdsetup', 'connect', STRANGER, format(from), format(to), ...options]);
}

async function hangUp(machine: Machine): Promise<void> {
  await machine.exec(`! grep -q '^ *${STRANGERS_MINOR}:' /proc/drbd || drbdsetup down ${STRANGER}`);
}

/** Of a stranger's connection, or of a mirror's end: DRBD's own word for how it stands, and what is not in sync. */
interface Standing {
  readonly connection: string | undefined;
  readonly outOfSyncKib: number;
}

async function standing84(machine: Machine, minor: number | string): Promise<Standing> {
  const { stdout } = await machine.exec('cat /proc/drbd');
  const [, connection, outOfSync] = new RegExp(`^ *${minor}: cs:(\\S+)[^]*?oos:(\\d+)`, 'm').exec(stdout) ?? [];
  return { connection, outOfSyncKib: Number(outOfSync) };
}

async function standing9(machine: Machine): Promise<Standing> {
  const { stdout } = await machine.exec('drbdsetup status data_rehome --json --statistics');
  const [resource] = JSON.parse(stdout) as {
    connections: { peer_devices: { 'replication-state': string; 'out-of-sync': number }[] }[];
  }[];
  const [peer] = resource?.connections[0]?.peer_devices ?? [];
  return { connection: peer?.['replication-state'], outOfSyncKib: peer?.['out-of-sync'] ?? Number.NaN };
}

/** A value that the mirror's end on this node has in its tags. */
async function mirrorTag(machine: Machine, key: string): Promise<string> {
  const { stdout } = await machine.exec(['lvs', '--noheadings', '-o', 'lv_tags', `${POOL}/data_rehome_metadata`]);
  const value = new RegExp(`rehome\\.io/${key}=([^,\\s]+)`).exec(stdout)?.[1];
  if (value === undefined) throw new Error(`the mirror on ${machine.name} has no tag ${key}: ${stdout}`);
  return value;
}

async function countInKernelLog(machine: Machine, pattern: RegExp): Promise<number> {
  const { stdout } = await machine.exec('dmesg');
  return [...stdout.matchAll(new RegExp(pattern, 'g'))].length;
}

test.skipIf(strangersHave9)(
  'strangers who call the ends of a running sync are not heard, and it ends as if nobody had called',
  async () => {
    const n1 = lab.machine('n1');
    const resyncs = /Began resync as (SyncSource|PausedSyncS)/;
    const before = await countInKernelLog(n1, resyncs);
    await keepVolumesAway();
    const sha256 = await cluster.filledVolume('data', 'n1', `${SIZE_MIB}Mi`);
    await n1.rate('40mbit');
    await cluster.cordon('n1');
    const { metadata, status } = await eventually('a sync under way', 90, async () => {
      const migration = await cluster.migration('data');
      return (migration?.status?.progress?.syncedBytes ?? 0) > 0 && migration;
    });
    const target = lab.machine(status!.targetNode!);
    const stranger = lab.machine(STRANGERS_NODE);
    const pairing = Number(await mirrorTag(n1, 'pairing'));
    const key = await clusterKey();
    const { stdout: shown } = await n1.exec('drbdsetup show data_rehome');
    expect(shown, 'the secret that this test looks for is the one in use').toContain(secretOf(key, metadata.uid, pairing));

    const minor = await mirrorTag(n1, 'minor');
    const source = () => (withDrbd9 ? standing9(n1) : standing84(n1, minor));
    const ends = [
      { address: n1.storageAddress, port: Number(await mirrorTag(n1, 'port')) },
      { address: target.storageAddress, port: Number(await mirrorTag(target, 'port')) },
    ];
    for (const end of ends) {
      const [old, current] = [secretOf(key, metadata.uid, pairing - 1), secretOf(key, metadata.uid, pairing)];
      for (const secret of [undefined, old, current]) {
        // From the very port that the other end has.
        const from = { address: stranger.storageAddress, port: ends.find((other) => other !== end)!.port };
        await call(stranger, from, end, secret);
        const { outOfSyncKib: left } = await source();
        await eventually('8 MiB more in sync while a stranger calls', 60, async () => (await source()).outOfSyncKib < left - 8192);
        expect((await standing84(stranger, STRANGERS_MINOR)).connection).toBe('WFConnection');
        expect((await source()).connection).toBe('SyncSource');
        await hangUp(stranger);
      }
      const refused = await stranger.exec(['socat', '-u', 'OPEN:/dev/null', `TCP:${end.address}:${end.port},connect-timeout=5`], {
        expectedExitCodes: [1],
      });
      expect(refused.stderr).toContain('Connection refused');
    }

    await n1.rate('off');
    await cluster.waitUntilEvacuated('n1', 180);
    expect(await cluster.sha256('data', target.name)).toBe(sha256);
    expect(await countInKernelLog(n1, resyncs)).toBe(before + 1);
  },
);

describe.skipIf(strangersHave9)('at a port that waits for the source', () => {
  /** The first of the range: what an agent without mirrors takes. */
  const PORT = 20_000;

  test.each([
    ['without a secret', undefined],
    ['with an old one', 'f00dfeedf00dfeedf00dfeedf00dfeed'],
  ])('a stranger %s is turned away, and the move completes', async (_, secret) => {
    const [n2, n3] = [lab.machine('n2'), lab.machine(STRANGERS_NODE)];
    await keepVolumesAway();
    const sha256 = await cluster.filledVolume('data', 'n1', '32Mi');
    // It calls before anybody listens, so that it is there before the source.
    await call(n3, { address: n3.storageAddress, port: PORT }, { address: n2.storageAddress, port: PORT }, secret);
    await cluster.cordon('n1');
    expect(await eventually('the port of the mirror', 60, async () => Number(await mirrorTag(n2, 'port')))).toBe(PORT);
    await cluster.reaches('data', 'Completed', 240);
    expect(await cluster.nodeOf('data')).toBe('n2');
    expect(await cluster.sha256('data', 'n2')).toBe(sha256);
  });

  // The stranger says it of itself, the end of the mirror of whom it does not know.
  const letIn = { by: 'n3', pattern: /stranger: Peer authenticated/ };
  const turnedAway = { by: 'n2', pattern: /Closing unexpected connection from/ };
  test(`a node that has the very secret is ${withDrbd9 ? 'turned away by its address' : 'let in'}, and the move completes when it has gone`, async () => {
    const [n1, n2, n3] = [lab.machine('n1'), lab.machine('n2'), lab.machine(STRANGERS_NODE)];
    await keepVolumesAway();
    const sha256 = await cluster.filledVolume('data', 'n1', '32Mi');
    const { by, pattern } = withDrbd9 ? turnedAway : letIn;
    const before = await countInKernelLog(lab.machine(by), pattern);
    const authenticated = await countInKernelLog(n3, letIn.pattern);
    await n1.cut('storage');
    await cluster.cordon('n1');
    const { metadata } = await cluster.reaches('data', 'Preparing');
    expect(await eventually('the port of the mirror', 60, async () => Number(await mirrorTag(n2, 'port')))).toBe(PORT);
    const secret = secretOf(await clusterKey(), metadata.uid, Number(await mirrorTag(n2, 'pairing')));
    await call(n3, { address: n3.storageAddress, port: PORT }, { address: n2.storageAddress, port: PORT }, secret);
    await eventually('an answer to the stranger', 60, async () => (await countInKernelLog(lab.machine(by), pattern)) > before);
    expect((await countInKernelLog(n3, letIn.pattern)) > authenticated).toBe(!withDrbd9);
    await n1.heal();
    await hangUp(n3);
    await cluster.reaches('data', 'Completed', 240);
    expect(await cluster.sha256('data', 'n2')).toBe(sha256);
  });
});

test('no secret of all these mirrors is in a log, an Event, an object or a history', async () => {
  const key = await clusterKey();
  const sha256 = await cluster.filledVolume('data', 'n1', '16Mi');
  await cluster.cordon('n1');
  const { metadata } = await cluster.reaches('data', 'Completed');
  expect(await cluster.sha256('data', await cluster.nodeOf('data'))).toBe(sha256);
  secrets.add(secretOf(key, metadata.uid, 1));
  const searched = [key.toString('utf8'), ...secrets];
  expect(searched.length).toBeGreaterThan(1);

  const places = await everythingThatIsSaid();
  for (const [place, text] of Object.entries(places)) {
    for (const secret of searched) expect(text.includes(secret), `a secret in ${place}`).toBe(false);
  }
  // The places are those where this migration has left something.
  for (const place of ['the histories', 'the Events', 'the LocalVolumeMigrates']) expect(places[place], place).toContain(metadata.uid);
  for (const node of ['n1', 'n2', 'n3']) expect(places[`the agent's log on ${node}`]).toContain('agent runs');
  expect(places["n1's kernel log"]).toContain('data_rehome');
  expect(places["the controller's log"]).toContain('migrate-data');
});

/** By the place where it stands. */
async function everythingThatIsSaid(): Promise<Record<string, string>> {
  const objects = async (kind: string) => (await lab.kubectl(['get', kind, '-A', '-o', 'json'])).stdout;
  const places: Record<string, string> = {
    'the histories': await histories(),
    'the Events': await objects('events.events.k8s.io'),
    'the LocalVolumeMigrates': await objects('localvolumemigrates'),
    'the LocalStorageNodes': await objects('localstoragenodes'),
    "the controller's log": await readFile(lab.logFile('controller'), 'utf8'),
  };
  for (const machine of lab.machines) {
    const { name } = machine;
    places[`${name}'s kernel log`] = (await machine.exec('dmesg')).stdout;
    places[`${name}'s tags`] = (await machine.exec(['lvs', '-o', 'lv_tags'])).stdout;
    places[`the agent's state on ${name}`] = (await machine.exec('grep -r . /var/lib/rehome/locks /var/lib/rehome/tokens || true')).stdout;
    places[`the agent's log on ${name}`] = (await machine.exec(await lab.agentLogCommand(name, false))).stdout;
    places[`the kubelet's log of ${name}`] = await readFile(lab.logFile(`kubelet-${name}`), 'utf8');
  }
  return places;
}

interface ListedWorkflow {
  readonly execution: { readonly workflowId: string; readonly runId: string };
}

/** Every workflow's, with what their payloads hold in plain text. */
async function histories(): Promise<string> {
  const { stdout } = await lab.temporal(['workflow', 'list', '--limit', '1000', '-o', 'json'], { timeoutSeconds: 60 });
  const texts: string[] = [];
  for (const { execution } of JSON.parse(stdout) as ListedWorkflow[]) {
    const { workflowId, runId } = execution;
    const show = ['workflow', 'show', '--workflow-id', workflowId, '--run-id', runId, '-o', 'json'];
    texts.push(withPayloads(JSON.parse((await lab.temporal(show, { timeoutSeconds: 60 })).stdout)));
  }
  return texts.join('\n');
}

/** Each string as it stands, and as what it stands for where it is base64. */
function withPayloads(value: unknown): string {
  if (typeof value === 'string') return `${value} ${Buffer.from(value, 'base64').toString('utf8')}`;
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([name, part]) => `${name} ${withPayloads(part)}`)
    .join('\n');
}
