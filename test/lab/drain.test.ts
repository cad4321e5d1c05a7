import { beforeEach, describe, expect, test } from 'vitest';
import { runDrain } from '../../lab/demo/drain.ts';
import { parseMigrations } from '../../lab/demo/migrations.ts';
import { parseDemoOptions } from '../../lab/demo/options.ts';
import { readOwnShare } from '../../lab/demo/own-share.ts';
import { Steps } from '../../lab/index.ts';
import { Cluster, eventually, nodeStorage } from './support.ts';

const cluster = new Cluster();
const { lab } = cluster;

beforeEach(() => cluster.reset());

describe('a cordoned node', () => {
  test('hands its volumes over bit by bit, keeps nothing, and is evacuated', async () => {
    const [small, large] = [await cluster.filledVolume('small', 'n1', '16Mi'), await cluster.filledVolume('large', 'n1', '96Mi')];
    const before = await nodeStorage(lab.machine('n1'));
    expect(before.some((line) => line.startsWith('large|'))).toBe(true);

    await cluster.cordon('n1');
    await cluster.waitUntilEvacuated('n1');

    for (const [volume, sha256] of [
      ['small', small],
      ['large', large],
    ] as const) {
      const node = await cluster.nodeOf(volume);
      expect(node).not.toBe('n1');
      expect(await cluster.sha256(volume, node)).toBe(sha256);
      const { status } = (await cluster.migration(volume))!;
      expect(status).toMatchObject({
        state: 'Completed',
        phase: 'Completed',
        targetNode: node,
        sourceSha256: sha256,
        targetSha256: sha256,
      });
    }
    for (const machine of lab.machines) {
      const lines = await nodeStorage(machine);
      expect(lines.filter((line) => /rehome|_md|-back|cs:/.test(line))).toEqual([]);
    }
    expect(await nodeStorage(lab.machine('n1'))).toEqual([]);
  });

  test("costs at most 15 s of Rehome's own time a volume, however large the volume is", async () => {
    await cluster.filledVolume('small', 'n1', '16Mi');
    await cluster.cordon('n1');
    await cluster.reaches('small', 'Completed');
    await cluster.uncordon('n1');
    await cluster.filledVolume('large', 'n1', '256Mi');
    await cluster.cordon('n1');
    await cluster.reaches('large', 'Completed', 180);

    const [small, large] = await Promise.all(['small', 'large'].map(ownShareOf));
    console.log(`own share: small ${small!.toFixed(1)} s, large ${large!.toFixed(1)} s`);
    expect(Math.abs(large! - small!)).toBeLessThan(5);
    expect(small).toBeLessThan(15);
    expect(large).toBeLessThan(15);
  });

  test('is named by Events on node, pod, claim, volume and migration', async () => {
    await lab.createVolume({ name: 'told', node: 'n1', size: '16Mi', fileSystem: 'block' });
    await lab.apply(holdingPod('told'));
    await eventually('a pod that holds the volume', 60, async () => {
      const pod = await cluster.get<{ status: { phase: string } }>('pod', 'told');
      return pod.status.phase === 'Running';
    });
    await cluster.cordon('n1');
    await told('Pod', 'told', 'WaitingForDetach');

    await lab.kubectl(['delete', 'pod', 'told', '--wait', '--timeout=60s'], { timeoutSeconds: 70 });
    const { metadata } = await cluster.reaches('told', 'Completed');
    await told('Node', 'n1', 'MigrationCompleted');
    await told('PersistentVolumeClaim', 'told', 'VolumeMoved');
    await told('LocalVolume', 'told', 'MigrationCompleted');
    await told('LocalVolumeMigrate', metadata.name, 'MigrationCompleted');
  });
});

test('a drained node with writing pods is powered off, and every acknowledged write is on the new nodes', async () => {
  const { checks } = await runDrain(lab, new Steps(), parseDemoOptions([]));
  expect(checks.filter(({ holds }) => !holds)).toEqual([]);
  await lab.start('n1');
});

test('an agent stays below 200 MB', async () => {
  for (const machine of lab.machines) {
    const { stdout } = await machine.exec(
      "for p in /proc/[0-9]*; do grep -qs /opt/rehome/main.cjs $p/cmdline && sed -n 's/^VmRSS: *//p' $p/status; done; true",
    );
    const residentKib = Math.max(
      ...stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => Number.parseInt(line, 10)),
    );
    console.log(`agent on ${machine.name}: ${Math.round(residentKib / 1024)} MiB resident`);
    expect(residentKib).toBeGreaterThan(10_000);
    expect(residentKib * 1024).toBeLessThan(200e6);
  }
});

async function ownShareOf(volume: string): Promise<number> {
  const { stdout } = await lab.kubectl(['get', 'localvolumemigrates', '-o', 'json']);
  return (await readOwnShare(lab, parseMigrations(stdout).find((migration) => migration.volume === volume)!))!;
}

/** An Event of Rehome's about the volume `told`, on that object. */
async function told(kind: string, name: string, reason: string): Promise<void> {
  await eventually(`Event ${reason} on ${kind} ${name}`, 30, async () => {
    const events = await cluster.list<ToldEvent>('events.events.k8s.io', '-A');
    return events.some(
      ({ regarding, note = '', ...event }) =>
        regarding.kind === kind && regarding.name === name && event.reason === reason && note.includes('told'),
    );
  });
}

interface ToldEvent {
  readonly reason: string;
  readonly note?: string;
  readonly regarding: { readonly kind: string; readonly name: string };
}

/** A pod of the claim's name that uses its device until it is deleted. */
function holdingPod(claim: string): object {
  const container = {
    name: 'main',
    image: 'busybox',
    command: ['sh', '-c', 'exec sleep 1d <> /dev/volume'],
    volumeDevices: [{ name: 'data', devicePath: '/dev/volume' }],
  };
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: claim } }];
  const metadata = { name: claim, namespace: 'default' };
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { terminationGracePeriodSeconds: 1, containers: [container], volumes } };
}
