/** SHA-256 of a whole volume, on the source beneath its closed mirror, on the target once its mirror is gone. */
import type { Mirror } from '../../core/contracts/migration.ts';
import type { MirrorRole } from '../../core/contracts/node-activities.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { lookAround, openStep } from './mirror-step.ts';

/** A heartbeat costs more than the hash of a piece. */
const TELL_EVERY_MILLISECONDS = 500;

export async function hashVolume(deps: NodeDependencies, mirror: Mirror, role: MirrorRole): Promise<{ sha256?: string }> {
  const step = await openStep(deps, mirror, { role, phases: ['CuttingOver'] });
  const { device, back, resource } = await lookAround(step);
  if (role === 'source' && device) throw failure('MirrorNotReady', 'the source is not closed');
  if (role === 'source' && !back) return {};
  if (role === 'target' && (resource || !device)) throw failure('MirrorNotReady', 'the mirror is still up on the target');
  const path = role === 'source' ? step.names.backPath : step.names.devicePath;
  // DRBD writes beneath the page cache: pages that somebody read before the sync would be hashed as they were.
  await step.host.run('blockdev', ['--flushbufs', path]);
  const attempt = deps.attempt();
  let toldAt = 0;
  const tell = (hashedBytes: number) => {
    if (performance.now() - toldAt < TELL_EVERY_MILLISECONDS) return;
    toldAt = performance.now();
    attempt.heartbeat({ totalBytes: mirror.sizeBytes, hashedBytes });
  };
  return { sha256: await step.host.hashFile(path, tell) };
}
