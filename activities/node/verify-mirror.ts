/** Comparing both copies block by block, and sending again what differs. */
import type { Mirror } from '../../core/contracts/migration.ts';
import type { VerifyReport } from '../../core/contracts/node-activities.ts';
import type { LocalMirror, MirrorState } from '../../system/drbd/mirror-driver.ts';
import { describe, isHealthy, progressOf, watchForStandstill } from './await-sync.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { act, lookAround, type MirrorStep, openStep, pairOf, requireMetadata, sharedSecret } from './mirror-step.ts';
import { requirePermission } from './permission.ts';

const LOOK_EVERY_MILLISECONDS = 500;

/** That the pass covered everything is not this end's to say: the target's read counter is the proof. @throws MirrorNotReady where it stands still. */
export async function verifyMirror(deps: NodeDependencies, mirror: Mirror): Promise<VerifyReport> {
  const { minor } = await begin(deps, mirror);
  const { drbd } = await openStep(deps, mirror, 'source');
  const attempt = deps.attempt();
  const standstill = watchForStandstill();
  for (;;) {
    const state = await drbd.observeMinor(minor);
    if (state?.replication !== 'VerifyS') {
      const healthy = state !== undefined && isHealthy(state);
      return { completed: healthy, healthy, outOfSyncBytes: (state?.outOfSyncKib ?? 0) * 1024 };
    }
    attempt.heartbeat(progressOf(mirror, state));
    const stands = standstill(state);
    if (stands) throw failure('MirrorNotReady', stands);
    await attempt.sleep(LOOK_EVERY_MILLISECONDS);
  }
}

/** One that runs already is an earlier attempt's, and began at the first sector too. @throws MirrorNotReady */
function begin(deps: NodeDependencies, mirror: Mirror): Promise<LocalMirror> {
  return act(deps, mirror, 'source', async (step) => {
    const { state, ...local } = await requireMirror(step);
    if (state.replication === 'VerifyS') return local;
    if (!isHealthy(state)) throw failure('MirrorNotReady', `a verify needs both copies at rest: ${describe(state)}`);
    await step.drbd.startVerify(local);
    return local;
  });
}

export async function readTargetCounter(deps: NodeDependencies, mirror: Mirror): Promise<{ readKib: number }> {
  const { state } = await requireMirror(await openStep(deps, mirror, 'target'));
  return { readKib: state.readKib };
}

/** @throws MirrorNotReady */
async function requireMirror({ drbd, mirror, names }: MirrorStep): Promise<LocalMirror & { readonly state: MirrorState }> {
  const found = (await drbd.observe()).find(({ resource }) => resource === names.resource);
  if (found?.minor !== undefined && found.state) return { resource: found.resource, minor: found.minor, state: found.state };
  throw failure('MirrorNotReady', `the mirror of ${mirror.migration.volume} is not in this node's kernel`);
}

const RESYNC_STARTS_WITHIN_SECONDS = 20;
const RESYNC_LOOK_MILLISECONDS = 200;

/** @throws MirrorNotReady where the ends do not meet again, NotPermitted. */
export function repairMirror(deps: NodeDependencies, mirror: Mirror): Promise<void> {
  return act(deps, mirror, 'source', async (step) => {
    const phases = ['Verifying', 'CuttingOver'] as const;
    await requirePermission(deps, mirror, { role: 'source', phases, pairing: 'recorded', pointOfNoReturn: false });
    const pair = pairOf(step, requireMetadata(step, await lookAround(step)).tags);
    await step.drbd.repair(pair, await sharedSecret(step));
    const attempt = deps.attempt();
    const deadline = performance.now() + RESYNC_STARTS_WITHIN_SECONDS * 1000;
    for (;;) {
      const state = await step.drbd.observeMinor(pair.minor);
      if (state?.connection === 'Connected') return;
      if (performance.now() > deadline) throw failure('MirrorNotReady', `source and target did not meet again: ${describe(state)}`);
      await attempt.sleep(RESYNC_LOOK_MILLISECONDS);
    }
  });
}
