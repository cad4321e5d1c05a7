/** The drain itself: workloads on n1, `kubectl drain`, a live table until n1 may be powered off, and the checks. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab, Steps } from '../index.ts';
import * as checks from './checks.ts';
import { Collector, type Gap } from './collector.ts';
import { LiveTable } from './live-table.ts';
import { type Migration, parseMigrations } from './migrations.ts';
import { readOwnShare } from './own-share.ts';
import { DATA_FILE, deployment, statefulSet, type Workload } from './workloads.ts';

const SOURCE = 'n1';
const IDLE_VOLUME = 'archive';
/** As many show that a workload runs. */
const FEW_WRITES = 30;
/** The host's address in the lab's management network: what reaches it has left the node. */
export const COLLECTOR = { address: '10.78.0.254', port: 9099 };

export interface DrainResult {
  readonly checks: readonly checks.Check[];
  readonly migrations: readonly Migration[];
  /** By volume; undefined where it has not completed. */
  readonly ownShares: Readonly<Record<string, number | undefined>>;
  /** Longest silence of each writer since the drain began. */
  readonly downtimes: Readonly<Record<string, Gap | undefined>>;
}

export async function runDrain(lab: Lab, steps: Steps): Promise<DrainResult> {
  const collector = await Collector.listen(COLLECTOR.address, COLLECTOR.port);
  try {
    return await drainAndCheck(lab, steps, collector);
  } finally {
    await collector.close();
  }
}

async function drainAndCheck(lab: Lab, steps: Steps, collector: Collector): Promise<DrainResult> {
  const workloads = [statefulSet, deployment].map((make) => make(`${COLLECTOR.address} ${COLLECTOR.port}`));
  const volumes = [...workloads.map(({ claim }) => claim), IDLE_VOLUME];
  await startWorkloads(lab, steps, collector, workloads);
  const idleSha256 = await checks.deviceSha256(lab.machine(SOURCE), IDLE_VOLUME);

  const drainedAt = Date.now();
  steps.say(`kubectl drain ${SOURCE} --ignore-daemonsets --delete-emptydir-data`);
  await watchDrain(lab, steps);

  const found: checks.Check[] = [await checks.checkNothingLeftOver(lab.machine(SOURCE), [])];
  await steps.run(`${SOURCE} is Evacuated: its power is cut`, () => lab.kill(SOURCE));
  await steps.run('both workloads write on their new nodes', () => waitForNewWrites(collector, workloads));
  const downtimes = Object.fromEntries(workloads.map(({ writer }) => [writer, collector.longestGap(writer, drainedAt)]));

  await steps.run('workloads stopped to read their volumes', () => stopWorkloads(lab, volumes));
  const migrations = await readMigrations(lab);
  found.push(...(await checkData(lab, collector, workloads, migrations)));
  found.push(await checkIdleVolume(lab, migrations, idleSha256));
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

async function startWorkloads(lab: Lab, steps: Steps, collector: Collector, workloads: readonly Workload[]): Promise<void> {
  await steps.run(
    `volumes on ${SOURCE}: ${workloads.map(({ claim, size }) => `${claim} ${size}`).join(', ')}, ${IDLE_VOLUME} 16Mi`,
    async () => {
      for (const { claim, size, kind } of workloads) {
        await lab.createVolume({ name: claim, node: SOURCE, size, fileSystem: kind === 'file' ? 'ext4' : 'block' });
      }
      await lab.createVolume({ name: IDLE_VOLUME, node: SOURCE, size: '16Mi', fileSystem: 'block' });
    },
  );
  await steps.run('workloads write: each write counts once its number has left the node', async () => {
    await lab.apply(...workloads.map(({ manifest }) => manifest));
    await waitUntil(`the first ${FEW_WRITES} acknowledged writes of each workload`, 60, () =>
      workloads.every(({ writer }) => collector.count(writer) >= FEW_WRITES),
    );
  });
}

/** Runs kubectl drain and kubectl wait, and shows the migrations meanwhile. */
async function watchDrain(lab: Lab, steps: Steps): Promise<void> {
  const table = new LiveTable(async () => readMigrations(lab));
  try {
    await runKubectl(lab, ['drain', SOURCE, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=120s'], table);
    steps.say('kubectl drain has returned: the pods have gone, their data has not yet');
    await runKubectl(lab, ['wait', `localstoragenode/${SOURCE}`, '--for=condition=Evacuated', '--timeout=300s'], table);
  } finally {
    await table.stop();
  }
}

/** Longer than what it is told to wait: that is not counted while an API server that has fallen silent owes it an answer. */
const KUBECTL_LIMIT_MILLISECONDS = 330_000;

/** An unmodified kubectl, its output among the table's lines. */
async function runKubectl(lab: Lab, args: readonly string[], table: LiveTable): Promise<void> {
  const options = { env: { ...process.env, ...lab.environment() }, timeout: KUBECTL_LIMIT_MILLISECONDS } as const;
  const child = spawn('kubectl', args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => table.say(text.trimEnd()));
  const exitCode = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (exitCode !== 0) throw new Error(`kubectl ${args[0]} ended with ${exitCode}`);
}

async function waitForNewWrites(collector: Collector, workloads: readonly Workload[]): Promise<void> {
  const before = new Map(workloads.map(({ writer }) => [writer, collector.count(writer)]));
  await waitUntil(`${FEW_WRITES} more acknowledged writes of each workload`, 60, () =>
    workloads.every(({ writer }) => collector.count(writer) >= before.get(writer)! + FEW_WRITES),
  );
}

async function stopWorkloads(lab: Lab, volumes: readonly string[]): Promise<void> {
  await lab.kubectl(['scale', 'statefulset/ledger', 'deployment/journal', '--replicas=0']);
  await lab.kubectl(['wait', 'pod', '--all', '--for=delete', '--timeout=60s'], { timeoutSeconds: 70 });
  await waitUntil('every volume detached', 60, async () => {
    const { stdout } = await lab.kubectl(['get', 'volumeattachments', '-o', 'name']);
    return stdout.trim() === '' || volumes.length === 0;
  });
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

async function checkIdleVolume(lab: Lab, migrations: readonly Migration[], before: string): Promise<checks.Check> {
  const after = await checks.deviceSha256(lab.machine(targetOf(migrations, IDLE_VOLUME)), IDLE_VOLUME);
  return { claim: `${IDLE_VOLUME}, which nobody uses, arrived unchanged`, holds: after === before, detail: `sha256 ${after.slice(0, 16)}` };
}

function targetOf(migrations: readonly Migration[], volume: string): string {
  const target = migrations.find((migration) => migration.volume === volume)?.target;
  if (!target) throw new Error(`no migration of ${volume} has a target`);
  return target;
}

async function readMigrations(lab: Lab): Promise<Migration[]> {
  return parseMigrations((await lab.kubectl(['get', 'localvolumemigrates', '-o', 'json'])).stdout);
}

async function waitUntil(what: string, seconds: number, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain for ${what}`);
    await sleep(200);
  }
}
