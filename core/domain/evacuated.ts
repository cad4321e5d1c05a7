/**
 * When a node may be powered off: the condition Evacuated of its LocalStorageNode.
 *
 * Three witnesses must agree: the agent's report of what lies in the pools, the replicas that the objects place on the node, and the migrations
 * under way. A report that is out of date can only name volumes that have gone since, or lack one that an object names; neither says "empty" wrongly.
 */
import type { Stay } from '../contracts/migration.ts';
import type { EvacuatedReason } from '../contracts/reasons.ts';
import { inWords } from './stay.ts';

export interface EvacuationFacts {
  readonly cordoned: boolean;
  /** Label `hwameistor.io/eviction=disable`. */
  readonly disabled: boolean;
  /** The condition is True at present. */
  readonly evacuated: boolean;
  readonly agentAlive: boolean;
  /** What the agent says lies in the node's pools; undefined where it has never said. */
  readonly reportedVolumes: readonly string[] | undefined;
  /** Volumes with a LocalVolumeReplica on the node. */
  readonly replicaVolumes: readonly string[];
  /** Migrations from or to the node that have not ended. `waitsFor`: the phase, and why it waits where it does. */
  readonly migrations: readonly { readonly volume: string; readonly waitsFor: string }[];
  /** Of the volumes on the node, those that are not to move. */
  readonly stays: ReadonlyMap<string, Stay>;
  /** From the cordon to the first migration. */
  readonly delaySeconds: number;
}

export interface Evacuation {
  readonly evacuated: boolean;
  readonly reason: EvacuatedReason;
  /** What it waits for, for people. */
  readonly message: string;
}

/**
 * A node that was found evacuated stays so when its agent falls silent: that is what happens when it is powered off. Kept volumes are in nobody's way;
 * refused ones are, until a person decides: nobody has said that the node may go with them.
 */
export function judgeEvacuation(facts: EvacuationFacts): Evacuation {
  const waits = (reason: EvacuatedReason, message: string): Evacuation => ({ evacuated: false, reason, message });
  if (!facts.cordoned) return waits('NodeNotCordoned', 'the node is not cordoned');
  if (facts.disabled) return waits('EvictionDisabled', 'label hwameistor.io/eviction=disable keeps its volumes here');

  const moving = new Set(facts.migrations.map(({ volume }) => volume));
  const present = new Set([...facts.replicaVolumes, ...(facts.reportedVolumes ?? [])].filter((volume) => !moving.has(volume)));
  const stays = [...present].flatMap((volume) => {
    const stay = facts.stays.get(volume);
    return stay ? [{ volume, stay }] : [];
  });
  const told = (kind: Stay['kind']) => stays.filter(({ stay }) => stay.kind === kind).map(({ volume, stay }) => inWords(volume, stay));
  const [kept, refused] = [told('kept'), told('refused')];
  const isToGo = (volume: string) => present.has(volume) && !facts.stays.has(volume);
  const unattended = facts.replicaVolumes.filter(isToGo);
  const leftOver = (facts.reportedVolumes ?? []).filter((volume) => isToGo(volume) && !unattended.includes(volume));
  const delay = facts.delaySeconds > 0 ? ` (volumes begin to move ${facts.delaySeconds} s after the cordon)` : '';
  const remaining = [
    ...(unattended.length > 0 ? [`no migration under way for ${listed(unattended)}${delay}`] : []),
    ...(leftOver.length > 0 ? [`still in the pools: ${listed(leftOver)}`] : []),
    ...(refused.length > 0 ? [listed(refused)] : []),
  ];
  const alsoKept = kept.length > 0 ? [listed(kept)] : [];
  if (facts.migrations.length > 0) {
    const migrations = facts.migrations.map(({ volume, waitsFor }) => `${volume} (${waitsFor})`);
    return waits('MigrationsUnderWay', [`waits for ${listed(migrations)}`, ...remaining, ...alsoKept].join('; '));
  }
  if (remaining.length > 0) return waits('VolumesRemain', [...remaining, ...alsoKept].join('; '));
  if (facts.reportedVolumes === undefined) return waits('AgentNotReporting', 'the agent has not said yet what lies in its pools');
  if (!facts.agentAlive && !facts.evacuated) return waits('AgentNotReporting', 'waits for the agent: its Lease has run out');
  if (kept.length === 0) return { evacuated: true, reason: 'NothingLeft', message: 'no volume is left and nothing is under way' };
  return { evacuated: true, reason: 'KeptVolumesLeft', message: `nothing is under way, and no volume is to go: ${listed(kept)}` };
}

/** At most five by name: the message stands in one line of `kubectl describe`. */
function listed(names: readonly string[]): string {
  const shown = [...new Set(names)].sort();
  return shown.length > 5 ? `${shown.slice(0, 5).join(', ')} and ${shown.length - 5} more` : shown.join(', ');
}
