/** What is played, over a cluster in memory, to record a history of every scenario. */
import type { WorkflowHandle } from '@temporalio/client';
import { workflowId } from '../../core/contracts/names.ts';
import { eventually, type Harness } from './harness.ts';
import type { WorkflowName } from './histories.ts';
import { MiB } from './world.ts';

/** One run, and what it is an example of. */
export interface Recording {
  readonly workflow: WorkflowName;
  readonly scenario: string;
  readonly run: WorkflowHandle;
}

export interface Scene {
  /** What is recorded in it. */
  readonly scenarios: readonly string[];
  /** A history becomes too long after so many events. */
  readonly longHistoryEvents?: number;
  readonly ownController?: boolean;
  readonly play: (harness: Harness) => Promise<readonly Recording[]>;
}

export const SCENES: readonly Scene[] = [
  { scenarios: ['completed'], play: completed },
  { scenarios: ['aborted'], play: aborted },
  { scenarios: ['parked'], play: parked },
  { scenarios: ['crashed'], ownController: true, play: crashed },
  { scenarios: ['terminated', 'resumed'], play: terminated },
  { scenarios: ['revived'], play: revived },
  { scenarios: ['continued', 'continuation'], longHistoryEvents: 20, play: continued },
  { scenarios: ['reset'], play: reset },
  { scenarios: ['forward'], play: forward },
  { scenarios: ['waited'], play: waited },
  { scenarios: ['redirected'], play: redirected },
  { scenarios: ['repaired'], play: repaired },
  { scenarios: ['renewed'], play: renewed },
  { scenarios: ['reconnected'], play: reconnected },
  { scenarios: ['online'], play: online },
  { scenarios: ['hashed'], play: hashed },
  { scenarios: ['requested'], play: requested },
  { scenarios: ['nothing-to-move'], play: nothingToMove },
];

/** It has begun, and its sync is held until the gate is opened. */
export async function inSync(harness: Harness, begin: () => Promise<void>) {
  const gate = harness.world.faults.gate('awaitSync');
  await begin();
  await gate.reached;
  return gate;
}

const drainInSync = (harness: Harness) => inSync(harness, () => harness.cordon());

async function completed(harness: Harness) {
  await harness.cordon();
  await harness.eviction().result();
  return ofDrain(harness, 'completed');
}

async function aborted(harness: Harness) {
  const gate = await drainInSync(harness);
  await harness.cordon(false);
  await harness.eviction().result();
  gate.open();
  return ofDrain(harness, 'aborted');
}

async function parked(harness: Harness) {
  harness.world.faults.fail('ensureSourceMirror', 'NotPermitted', { permanent: true });
  await harness.cordon();
  await eventually(() => check(harness.migrateObject().phase === 'NeedsAttention'));
  const turns = await ended(harness, harness.limiterId);
  await harness.migration().retry();
  await harness.eviction().result();
  const drain = await ofDrain(harness, 'parked');
  return [
    ...drain.filter(({ workflow }) => workflow !== 'limitSyncs'),
    { workflow: 'limitSyncs', scenario: 'parked', run: turns },
  ] as const;
}

async function crashed(harness: Harness) {
  await beginWithCrashes(harness, () => harness.cordon());
  await harness.eviction().result();
  return ofDrain(harness, 'crashed');
}

/** The controller dies twice on the way. */
export async function beginWithCrashes(harness: Harness, begin: () => Promise<void>): Promise<void> {
  const { faults } = harness.world;
  const gates = [faults.gate('reserveTarget'), faults.gate('awaitSync')];
  await begin();
  for (const gate of gates) {
    await gate.reached;
    await harness.stopController();
    gate.open();
    await harness.startController();
  }
}

async function terminated(harness: Harness) {
  const gate = await drainInSync(harness);
  const runs = await Promise.all(drainIds(harness).map(([workflow, id]) => recording(harness, workflow, 'terminated', id)));
  await Promise.all(runs.map(({ run }) => run.terminate('to record it')));
  gate.open();
  await harness.cordon();
  await harness.eviction().result();
  return [...runs, ...(await ofDrain(harness, 'resumed'))];
}

async function revived(harness: Harness) {
  const gate = await drainInSync(harness);
  await harness.migration().terminate();
  gate.open();
  // The next look for what has ended may be a minute away.
  await harness.eviction().result();
  return (await ofDrain(harness, 'revived')).filter(({ workflow }) => workflow !== 'migrateVolume');
}

async function continued(harness: Harness) {
  const { world, n1, data } = harness;
  world.syncLimits.perNode = 1;
  const others = ['a', 'b', 'c'].map((name) => harness.volume(name));
  for (const volume of others) world.addVolume(volume, n1);
  world.volumes.get(data)!.heldBy = ['pod default/db-0'];
  const gate = world.faults.gate('awaitSync');
  await harness.cordon();
  await gate.reached;
  await eventually(() =>
    check(others.filter((volume) => harness.migrateObject(volume).message.startsWith('waits for its turn')).length === 2),
  );
  await lookOften(harness, () => Promise.all([harness.migration().lookAgain(), harness.signals.nodeChanged(n1)]));
  gate.open();
  world.volumes.get(data)!.heldBy = [];
  await harness.migration().lookAgain();
  await harness.eviction().result();
  return withFirstRuns(harness, await ofDrain(harness, 'continuation'));
}

/** So often that a history of twenty events becomes too long. */
export async function lookOften({ world }: Harness, tell: () => Promise<unknown>): Promise<void> {
  for (let look = 0; look < 8; look++) {
    const seen = world.journal.length;
    await tell();
    await eventually(() => check(world.journal.length > seen));
  }
}

/** Runs that continue others, and the first of those. */
export async function withFirstRuns(harness: Harness, last: readonly Recording[]): Promise<readonly Recording[]> {
  const first = await Promise.all(
    last.map(async ({ run, ...rest }) => ({ ...rest, scenario: 'continued', run: await harness.firstRunOf(run) })),
  );
  return [...first, ...last];
}

async function reset(harness: Harness) {
  const gate = harness.world.faults.gate('switchObjects');
  const migration = await harness.migrate();
  await gate.reached;
  const begunAnew = await migration.reset();
  gate.open();
  await begunAnew.result();
  return ofMigration(harness, 'reset');
}

async function forward(harness: Harness) {
  const gate = harness.world.faults.gate('switchObjects');
  const migration = await harness.migrate();
  await gate.reached;
  await migration.terminate();
  gate.open();
  return moved(harness, 'forward');
}

async function waited(harness: Harness) {
  const { world, n1, n2, data } = harness;
  world.syncLimits.perNode = 1;
  const other = harness.volume('other');
  world.addVolume(other, n1);
  const [sync, allocate] = [world.faults.gate('awaitSync'), world.faults.gate(`allocateEndpoint ${data}`)];
  await harness.migrate(other);
  await sync.reached;
  const freeBytes = world.node(n2).freeBytes;
  world.node(n2).freeBytes = MiB;
  world.volumes.get(data)!.heldBy = ['pod default/db-0'];
  world.faults.fail('reserveTarget', 'ApiUnavailable', { times: 2, permanent: true });
  const migration = await harness.migrate();
  await eventually(() => check(harness.migrateObject().phase === 'Reserving'));
  world.node(n2).freeBytes = freeBytes;
  await migration.lookAgain();
  await eventually(() => check(harness.migrateObject().message.startsWith('waits for pod')));
  world.volumes.get(data)!.heldBy = [];
  await migration.lookAgain();
  await eventually(() => check(harness.migrateObject().message.startsWith('waits for its turn')));
  sync.open();
  await allocate.reached;
  await harness.migration(other).result();
  await harness.stopAgent(n2);
  await migration.lookAgain();
  await eventually(() => check(harness.migrateObject().message === `waits for the agent on ${n2}`));
  await harness.startAgent(n2);
  allocate.open();
  await migration.result();
  return ofMigration(harness, 'waited');
}

async function redirected(harness: Harness) {
  const { world, n2, n3 } = harness;
  world.addNode(n3);
  await harness.startAgent(n3);
  world.faults.fail(`ensureTargetMirror ${n2}`, 'PoolFull');
  return moved(harness, 'redirected');
}

async function repaired(harness: Harness) {
  const { world, n1, data } = harness;
  const gate = world.faults.gate('closeSource');
  const migration = await harness.migrate();
  await gate.reached;
  world.writePastMirror(data, n1, ' and more');
  gate.open();
  await migration.result();
  return ofMigration(harness, 'repaired');
}

async function renewed(harness: Harness) {
  const gate = harness.world.faults.gate('awaitSync');
  const migration = await harness.migrate();
  await gate.reached;
  harness.world.reboot(harness.n1);
  gate.open();
  await migration.result();
  return ofMigration(harness, 'renewed');
}

async function reconnected(harness: Harness) {
  const { world, n2 } = harness;
  const gate = world.faults.gate('awaitSync');
  const migration = await harness.migrate();
  await gate.reached;
  await harness.stopAgent(n2);
  world.reboot(n2);
  gate.open();
  await eventually(() => check(harness.migrateObject().message.endsWith('are not connected: WFConnection')));
  await harness.startAgent(n2);
  await migration.result();
  return ofMigration(harness, 'reconnected');
}

/** With a verify that skips what is being written, and a target that is restarted while its copy waits. */
async function online(harness: Harness) {
  const { world, n1, n2, data } = harness;
  const volume = world.volumes.get(data)!;
  Object.assign(volume, { heldBy: ['pod default/db-0'], online: true });
  world.node(n1).skips.push([{ startSector: 8, sectors: 8 }]);
  const migration = await harness.migrate();
  await eventually(() => check(harness.migrateObject().message.startsWith('has a proven copy')));
  world.reboot(n2);
  await migration.lookAgain();
  await eventually(() => check(world.node(n2).mirrors.get(data)?.attached === true));
  volume.heldBy = [];
  await migration.lookAgain();
  await migration.result();
  return ofMigration(harness, 'online');
}

async function hashed(harness: Harness) {
  harness.world.hashCheck = true;
  return moved(harness, 'hashed');
}

async function requested(harness: Harness) {
  harness.world.node(harness.n1).cordoned = false;
  await (await harness.request()).result();
  return ofMigration(harness, 'requested');
}

async function nothingToMove(harness: Harness) {
  harness.world.volumes.get(harness.data)!.replicas.clear();
  return moved(harness, 'nothing-to-move');
}

async function moved(harness: Harness, scenario: string) {
  await (await harness.migrate()).result();
  return ofMigration(harness, scenario);
}

async function ofMigration(harness: Harness, scenario: string): Promise<readonly Recording[]> {
  return [await recording(harness, 'migrateVolume', scenario, workflowId.migrateVolume(harness.data))];
}

/** The last runs of a drain's three workflows, once they have ended. */
async function ofDrain(harness: Harness, scenario: string): Promise<readonly Recording[]> {
  await ended(harness, harness.limiterId);
  return Promise.all(drainIds(harness).map(([workflow, id]) => recording(harness, workflow, scenario, id)));
}

const drainIds = ({ n1, data, limiterId }: Harness) =>
  [
    ['migrateVolume', workflowId.migrateVolume(data)],
    ['evictNode', workflowId.evictNode(n1)],
    ['limitSyncs', limiterId],
  ] as const;

export async function recording(harness: Harness, workflow: WorkflowName, scenario: string, id: string): Promise<Recording> {
  return { workflow, scenario, run: await harness.runOf(id) };
}

async function ended(harness: Harness, id: string): Promise<WorkflowHandle> {
  const run = await harness.runOf(id);
  await run.result();
  return run;
}

/** For `eventually`. */
export function check(holds: boolean): void {
  if (!holds) throw new Error('it is not so yet');
}
