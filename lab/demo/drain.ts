/** The drain itself: workloads on n1, which is emptied until it may be powered off, and the checks. */
import type { Lab, Steps } from '../index.ts';
import { waitFor } from '../wait.ts';
import * as checks from './checks.ts';
import { COLLECTOR, Collector, type Gap } from './collector.ts';
import { evacuate } from './evacuate.ts';
import { checkIdleVolumes, createIdleVolumes, hashIdleVolumes, type IdleVolume, idleVolumes, inWords } from './idle-volumes.ts';
import { type Migration, readMigrations, targetOf } from './migrations.ts';
import type { DrainOptions } from './options.ts';
import { readOwnShare } from './own-share.ts';
import { DATA_FILE, deployment, statefulSet, type Workload } from './workloads.ts';

const SOURCE = 'n1';
/** As many show that a workload runs. */
const FEW_WRITES = 12;
const WITHIN_A_MINUTE = { timeoutSeconds: 60, intervalMs: 200 };

export interface DrainResult {
  readonly checks: readonly checks.Check[];
  readonly migrations: readonly Migration[];
  /** By volume; undefined where it has not completed. */
  readonly ownShares: Readonly<Record<string, number | undefined>>;
  /** Longest silence of each writer since the drain began. */
  readonly downtimes: Readonly<Record<string, Gap | undefined>>;
}

export async function runDrain(lab: Lab, steps: Steps, options: DrainOptions): Promise<DrainResult> {
  const collector = await Collector.listen();
  try {
    return await drainAndCheck(lab, steps, collector, options);
  } finally {
    await collector.close();
  }
}

async function drainAndCheck(lab: Lab, steps: Steps, collector: Collector, options: DrainOptions): Promise<DrainResult> {
  const address = `${COLLECTOR.address} ${COLLECTOR.port}`;
  const workloads = [statefulSet(address, '32Mi'), deployment(address, '24Mi')];
  const idle = idleVolumes(options.volumes);
  await startWorkloads(lab, steps, collector, workloads, idle);
  const idleBefore = await hashIdleVolumes(lab, SOURCE, idle);

  const node = { name: SOURCE, used: workloads.map(({ claim }) => claim), idle: idle.map(({ name }) => name) };
  const drainedAt = await evacuate(lab, steps, node, options);

  const found: checks.Check[] = [await checks.checkNothingLeftOver(lab.machine(SOURCE), [])];
  await steps.run(`${SOURCE} is Evacuated: its power is cut`, () => lab.kill(SOURCE));
  await steps.run('both workloads write on their new nodes', () => waitForNewWrites(collector, workloads));
  const downtimes = Object.fromEntries(workloads.map(({ writer }) => [writer, collector.longestGap(writer, drainedAt)]));

  await steps.run('workloads stopped to read their volumes', () => stopWorkloads(lab, 'statefulset/ledger', 'deployment/journal'));
  const migrations = await readMigrations(lab);
  found.push(...(await checkData(lab, collector, workloads, migrations)));
  found.push(...(await checkIdleVolumes(lab, migrations, idleBefore)));
  for (const machine of lab.machines.filter(({ name }) => name !== SOURCE)) {
    const here = migrations.filter(({ target }) => target === machine.name).map(({ volume }) => volume);
    found.push(await checks.checkNothingLeftOver(machine, here));
  }
  found.push(checks.checkNoReservations((await lab.kubectl(['get', 'localstoragenodes', '-o', 'json'])).stdout));
  found.push(...migrations.map(checks.checkHashes));
  const ownShares: Record<string, number | undefined> = {};
  for (const migration of migrations) ownShares[migration.volume] = await readOwnShare(lab, migration);
  return { checks: found, migrations, ownShares, downtimes };
}

async function startWorkloads(
  lab: Lab,
  steps: Steps,
  collector: Collector,
  workloads: readonly Workload[],
  idle: readonly IdleVolume[],
): Promise<void> {
  const used = workloads.map(({ claim, size }) => `${claim} ${size}`).join(', ');
  await steps.run(`volumes on ${SOURCE}: ${used}, ${inWords(idle)}`, async () => {
    for (const { claim, size, kind } of workloads) {
      await lab.createVolume({ name: claim, node: SOURCE, size, fileSystem: kind === 'file' ? 'ext4' : 'block' });
    }
    await createIdleVolumes(lab, SOURCE, idle);
  });
  await steps.run('workloads write: each write counts once its number has left the node', async () => {
    await lab.apply(...workloads.map(({ manifest }) => manifest));
    await waitFor(
      `each workload has its first ${FEW_WRITES} writes acknowledged`,
      () => workloads.every(({ writer }) => collector.count(writer) >= FEW_WRITES),
      WITHIN_A_MINUTE,
    );
  });
}

async function waitForNewWrites(collector: Collector, workloads: readonly Workload[]): Promise<void> {
  const before = new Map(workloads.map(({ writer }) => [writer, collector.count(writer)]));
  await waitFor(
    `each workload has ${FEW_WRITES} more writes acknowledged`,
    () => workloads.every(({ writer }) => collector.count(writer) >= before.get(writer)! + FEW_WRITES),
    WITHIN_A_MINUTE,
  );
}

/** @param names as kubectl has them. Returns when their volumes are nobody's: they can be read on their nodes. */
export async function stopWorkloads(lab: Lab, ...names: string[]): Promise<void> {
  await lab.kubectl(['scale', ...names, '--replicas=0']);
  await lab.kubectl(['wait', 'pod', '--all', '--for=delete', '--timeout=60s'], { timeoutSeconds: 70 });
  await waitFor(
    'every volume is detached',
    async () => (await lab.kubectl(['get', 'volumeattachments', '-o', 'name'])).stdout.trim() === '',
    WITHIN_A_MINUTE,
  );
}

async function checkData(
  lab: Lab,
  collector: Collector,
  workloads: readonly Workload[],
  migrations: readonly Migration[],
): Promise<checks.Check[]> {
  return Promise.all(
    workloads.map(async ({ writer, claim, kind }) => {
      const machine = lab.machine(targetOf(migrations, claim));
      const acknowledged = collector.numbers(writer);
      const records =
        kind === 'file'
          ? await checks.readFileRecords(machine, claim, DATA_FILE.replace('/data/', ''))
          : await checks.readBlockRecords(machine, claim, Math.max(...acknowledged) + 1);
      return checks.checkAcknowledged(writer, acknowledged, records);
    }),
  );
}
