/** A migration that is terminated or reset at any step, and begun anew: it ends as it would have, and what still runs of the run before does no harm. */
import { describe, expect } from 'vitest';
import type { MigrationOutcome } from '../../core/contracts/migration.ts';
import { eventually, type Harness } from './harness.ts';
import type { MigrationHandle } from './migration-handle.ts';
import { workflowTest } from './workflow-test.ts';

const test = workflowTest({ shortTimings: true });

/** What a migration does, in the order in which it does each for the first time. */
const STEPS = [
  'findMigration',
  'openMigration',
  'reportPhase Pending',
  'observeVolume n1',
  'reserveTarget',
  'reportPhase Preparing',
  'allocateEndpoint n1',
  'allocateEndpoint n2',
  'ensureTargetMirror n2',
  'ensureSourceMirror n1',
  'reportPhase Syncing',
  'awaitSync n1',
  'reportPhase Verifying',
  'readTargetCounter n2',
  'verifyMirror n1',
  'reportPhase CuttingOver',
  'closeSource n1',
  'markCutOver n1',
  'markCutOver n2',
  'dissolveMirror n1',
  'dissolveMirror n2',
  'switchObjects',
  'reportPhase RemovingSource',
  'releaseTarget n2',
  'removeSource n1',
  'removeSourceReplica',
  'reportPhase Completed',
] as const;
/** Looks and turns. */
const AT_ANY_TIME = ['observeVolume', 'requestTurn', 'releaseTurn'] as const;
/** On a slow machine: a turn is seen to be waited for, or looked whether it is still wanted. */
const SOMETIMES = ['reportPhase AwaitingDetach', 'findEndedMigrations'] as const;
/** How one ends that begins when little or nothing is left to do. */
const ENDED = /^(Completed|NothingToMove)$/;
const STEPS_OF_ABORT = [
  'reportPhase Aborting',
  'restoreSource n1',
  'discardTarget n2',
  'releaseReservation',
  'reportPhase Aborted',
] as const;

/** Steps of the journal, with the nodes' names in the table. */
const journalOf = ({ world, id }: Harness, from = 0): string[] => world.journal.slice(from).map((step) => step.replace(`-${id}`, ''));
const inWorld = (step: string, { id }: Harness): string => step.replace(/ n\d$/, (node) => `${node}-${id}`);

/** What both ends do at once. */
const AT_BOTH_ENDS: readonly (readonly string[])[] = [
  ...['observeVolume', 'allocateEndpoint', 'dissolveMirror'].map((step) => [`${step} n1`, `${step} n2`]),
  ['ensureTargetMirror n2', 'ensureSourceMirror n1'],
];
/** In any order; and a closed volume is verified once more. */
const ALIKE = [...AT_BOTH_ENDS, ['readTargetCounter n2', 'verifyMirror n1', 'reportPhase CuttingOver']];

function placeOf(step: string): number {
  const [first = step] = ALIKE.find((steps) => steps.includes(step)) ?? [];
  return (STEPS as readonly string[]).indexOf(first);
}

function expectInOrder(steps: readonly string[]): void {
  const ordered = [...new Set(steps)].filter((step) => ![...AT_ANY_TIME, ...SOMETIMES].includes(step as never));
  const places = ordered.map(placeOf);
  expect(places, ordered.join(', ')).toEqual(places.toSorted((one, other) => one - other));
}

function expectMoved({ world, n1, n2, data }: Harness): void {
  expect(world.node(n2).volumes.get(data)).toMatchObject({ content: `bits of ${data}`, active: true });
  expect(world.node(n2).volumes.get(data)).not.toHaveProperty('migrationUid');
  expect(world.volumes.get(data)).toMatchObject({ affinity: n2 });
  expect([...world.volumes.get(data)!.replicas.keys()]).toEqual([n2]);
  expect(world.node(n1).volumes.has(data)).toBe(false);
  for (const { mirrors, reservations } of world.nodes.values()) expect([mirrors.size, reservations.size]).toEqual([0, 0]);
  expect(world.migrates.map(({ phase }) => phase)).toEqual(['Completed']);
  expect(world.copies).toBe(1);
}

/** Nobody keeps a turn: the workflow that hands them out has ended. */
const expectNoTurns = (harness: Harness) =>
  eventually(async () => expect((await harness.limiter().describe()).status.name).toBe('COMPLETED'));

test('a migration takes the steps of this table', async ({ harness }) => {
  await (await harness.migrate()).result();
  const steps = journalOf(harness);
  expect(new Set([...steps, ...SOMETIMES])).toEqual(new Set([...STEPS, ...AT_ANY_TIME, ...SOMETIMES]));
  expectInOrder(steps);
});

describe.concurrent('a migration that is terminated when it is about to', () => {
  test.for([...STEPS, ...AT_ANY_TIME])(
    '%s, and begun anew, moves the volume once, whatever the late step does',
    async (step, { harness }) => {
      const late = harness.world.faults.gate(inWorld(step, harness), { once: true });
      const terminated = await harness.migrate();
      await late.reached;
      await terminated.terminate();
      // In the midst of its successor, at the last step from which there is a way back, or where both are beyond it.
      const beside = harness.world.faults.gate(
        `${placeOf(step) < placeOf('closeSource n1') ? 'closeSource' : 'removeSource'} ${harness.n1}`,
      );
      const begun = harness.world.journal.length;
      const migration = await harness.migrate();
      const [{ outcome }] = await Promise.all([migration.result(), letIn(late, beside, migration)]);
      expectMoved(harness);
      await expectNoTurns(harness);
      expect(outcome).toMatch(ENDED);
      // The other end's step may have been under way as well.
      const alreadyBegun = AT_BOTH_ENDS.find((steps) => steps.includes(step)) ?? [step];
      expectInOrder(journalOf(harness, begun).filter((each) => !alreadyBegun.includes(each)));
    },
  );
});

/** The late step takes effect while the successor stands at a gate; one that never comes there has ended. */
async function letIn(
  late: ReturnType<Harness['world']['faults']['gate']>,
  beside: ReturnType<Harness['world']['faults']['gate']>,
  migration: MigrationHandle,
): Promise<void> {
  await Promise.race([beside.reached, migration.result()]);
  late.open();
  await late.left;
  beside.open();
}

describe.concurrent('a migration that is reset when it is about to', () => {
  test.for([...STEPS, ...AT_ANY_TIME])('%s moves the volume once, and the late step does nothing more', async (step, { harness }) => {
    const late = harness.world.faults.gate(inWorld(step, harness), { once: true });
    const migration = await harness.migrate();
    await late.reached;
    const { outcome } = await (await migration.reset()).result();
    expect(outcome).toMatch(ENDED);
    expectMoved(harness);
    late.open();
    await late.left;
    expectMoved(harness);
    await expectNoTurns(harness);
  });
});

describe.concurrent('a finished migration that is reset to where it was about to', () => {
  test.for(STEPS)('%s finds nothing to move', async (step, { harness }) => {
    const migration = await harness.migrate();
    await migration.result();
    const moved = harness.world.snapshot();
    const reset = await migration.resetBefore(...(step.split(' ') as [string, string?]));
    expect((await reset.result()).outcome).toMatch(ENDED);
    expect(harness.world.snapshot()).toEqual(moved);
    expectMoved(harness);
    await expectNoTurns(harness);
  });
});

describe.concurrent('an abort that is terminated when it is about to', () => {
  test.for([
    // Not even written down: who terminates it has to abort again.
    ['reportPhase Aborting', 'Completed'],
    ['restoreSource n1', 'Aborted'],
    ['discardTarget n2', 'Aborted'],
    ['releaseReservation', 'Aborted'],
    ['reportPhase Aborted', 'Aborted'],
  ] as const satisfies [(typeof STEPS_OF_ABORT)[number], MigrationOutcome][])(
    '%s ends as %s once begun anew, whatever the late step does',
    async ([step, outcome], { harness }) => {
      const before = harness.world.snapshot();
      const [sync, late] = [harness.world.faults.gate('awaitSync'), harness.world.faults.gate(inWorld(step, harness), { once: true })];
      const aborting = await harness.migrate();
      await sync.reached;
      await aborting.abort();
      await late.reached;
      await aborting.terminate();
      sync.open();
      expect(await (await harness.migrate()).result()).toMatchObject({ outcome });
      late.open();
      await late.left;
      if (outcome === 'Completed') expectMoved(harness);
      else expect(harness.world.snapshot()).toEqual(before);
      expect(harness.world.migrates).toHaveLength(1);
      await expectNoTurns(harness);
    },
  );
});

test.concurrent('a migration that is terminated while it has a proven copy beside its users keeps the copy, and proves it again', async ({
  harness,
}) => {
  const volume = Object.assign(harness.world.volumes.get(harness.data)!, { heldBy: ['pod default/db-0'], online: true });
  const isReady = () => eventually(() => expect(harness.migrateObject().message).toMatch(/^has a proven copy/));
  const terminated = await harness.migrate();
  await isReady();
  await terminated.terminate();
  harness.migrateObject().message = '';
  const migration = await harness.migrate();
  await isReady();
  volume.heldBy = [];
  await migration.lookAgain();
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  expectMoved(harness);
});

test.concurrent('a parked migration that is terminated parks again where its cause is still there, and goes on by retry', async ({
  harness,
}) => {
  harness.world.faults.fail('ensureSourceMirror', 'NotPermitted', { times: 2, permanent: true });
  const isParked = () =>
    eventually(() => expect(harness.migrateObject()).toMatchObject({ phase: 'NeedsAttention', parkedIn: 'Preparing' }));
  const terminated = await harness.migrate();
  await isParked();
  await terminated.terminate();
  harness.world.journal.length = 0;
  const migration = await harness.migrate();
  await eventually(() => expect(harness.world.journal).toContain('reportPhase NeedsAttention'));
  await isParked();
  await migration.retry();
  expect(await migration.result()).toMatchObject({ outcome: 'Completed' });
  expectMoved(harness);
});
