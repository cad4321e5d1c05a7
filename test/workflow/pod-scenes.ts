/** What is played to record histories of a pod's eviction. */
import { workflowId } from '../../core/contracts/names.ts';
import { eventually, type Harness } from './harness.ts';
import { beginWithCrashes, check, inSync, lookOften, type Recording, recording, type Scene, withFirstRuns } from './scenes.ts';

export const POD_SCENES: readonly Scene[] = [
  { scenarios: ['completed'], play: completed },
  { scenarios: ['aborted'], play: aborted },
  { scenarios: ['parked'], play: parked },
  { scenarios: ['crashed'], ownController: true, play: crashed },
  { scenarios: ['terminated', 'resumed'], play: terminated },
  { scenarios: ['revived'], play: revived },
  { scenarios: ['continued', 'continuation'], longHistoryEvents: 20, play: continued },
];

const evictionInSync = (harness: Harness) => inSync(harness, () => harness.evictPod());

async function completed(harness: Harness) {
  await harness.evictPod();
  return ended(harness, 'completed');
}

async function aborted(harness: Harness) {
  const gate = await evictionInSync(harness);
  harness.world.node(harness.n1).disabled = true;
  await harness.tellPodEviction();
  await harness.podEviction().result();
  gate.open();
  return ended(harness, 'aborted');
}

async function parked(harness: Harness) {
  harness.world.faults.fail('ensureSourceMirror', 'NotPermitted', { permanent: true });
  await harness.evictPod();
  await eventually(() => check(harness.migrateObject().phase === 'NeedsAttention'));
  await harness.tellPodEviction();
  return ended(harness, 'parked');
}

async function crashed(harness: Harness) {
  await beginWithCrashes(harness, () => harness.evictPod());
  return ended(harness, 'crashed');
}

async function terminated(harness: Harness) {
  const gate = await evictionInSync(harness);
  const first = await recordingOf(harness, 'terminated');
  await first.run.terminate('to record it');
  gate.open();
  await harness.tellPodEviction();
  return [first, ...(await ended(harness, 'resumed'))];
}

async function revived(harness: Harness) {
  const gate = await evictionInSync(harness);
  await harness.migration().terminate();
  gate.open();
  // The next look for what has ended may be a minute away.
  return ended(harness, 'revived');
}

async function continued(harness: Harness) {
  const { world, data } = harness;
  world.volumes.get(data)!.heldBy = ['pod default/db-0'];
  await harness.evictPod();
  await eventually(() => check(harness.migrateObject().message.startsWith('waits for pod')));
  await lookOften(harness, () => harness.tellPodEviction());
  world.volumes.get(data)!.heldBy = [];
  await harness.migration().lookAgain();
  return withFirstRuns(harness, await ended(harness, 'continuation'));
}

async function ended(harness: Harness, scenario: string): Promise<readonly Recording[]> {
  await harness.podEviction().result();
  return [await recordingOf(harness, scenario)];
}

function recordingOf(harness: Harness, scenario: string): Promise<Recording> {
  return recording(harness, 'evictPod', scenario, workflowId.evictPod(harness.pod.uid));
}
