/**
 * What a LocalVolumeMigrate is to Rehome. A record that has not ended is called open.
 *
 *   made by somebody: a request --begun by the run that was started for it--> record -> ended
 *                        +--another is the record--> follower -> ended
 *   made by Rehome, because a node is cordoned or a pod was evicted: a record from the first moment
 */
import { createHash } from 'node:crypto';
import type { MigrateVolumeInput } from '../../core/contracts/migration.ts';
import { Annotation, Label, MIGRATION_FINALIZER, type Trigger } from '../../core/contracts/names.ts';
import type { LocalVolumeMigrate } from '../../core/contracts/objects/index.ts';
import { isTerminal } from '../../core/contracts/phases.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { localVolumeMigrates } from '../../system/kube/hwameistor-resources.ts';

/** Those of the migrations that Rehome begins by itself. */
const OWN_TRIGGERS: readonly Trigger[] = ['node-drain', 'pod-eviction'];
/** Names of objects have 253 characters at most; a hyphen and the suffix follow the volume. */
const VOLUME_CHARACTERS = 253 - 7;

export function hasEnded({ status }: LocalVolumeMigrate): boolean {
  if (status?.phase !== undefined) return isTerminal(status.phase);
  return status?.state === 'Completed' || status?.state === 'Aborted';
}

/** The record of a migration that has not ended: a run acts on it, or has to be started again. */
export function isOpen(migrate: LocalVolumeMigrate): boolean {
  const { phase, follows } = migrate.status ?? {};
  return !hasEnded(migrate) && follows === undefined && (phase !== undefined || triggerOf(migrate) !== 'migrate-request');
}

/** It cannot go, be it deleted: nodes, or others that move with it, go by it. */
export function isProtected({ metadata }: LocalVolumeMigrate): boolean {
  return metadata.finalizers?.includes(MIGRATION_FINALIZER) === true;
}

/** It is being aborted, or was. */
export function isTakenBack({ status }: LocalVolumeMigrate): boolean {
  return status?.phase === 'Aborting' || status?.phase === 'Aborted';
}

/** It was made because `leader` asked for all volumes of a pod. */
export function movesWith({ metadata }: LocalVolumeMigrate, leader: LocalVolumeMigrate): boolean {
  return metadata.annotations?.[Annotation.movesWith] === leader.metadata.name;
}

/** The name of the one that asked for it: those of which it is the same move together. */
export function leaderOf({ metadata }: LocalVolumeMigrate): string {
  return metadata.annotations?.[Annotation.movesWith] ?? metadata.name;
}

/** Somebody's wish that no run has taken up. */
export function isRequest(migrate: LocalVolumeMigrate): boolean {
  return !hasEnded(migrate) && !isOpen(migrate);
}

export function triggerOf({ metadata }: LocalVolumeMigrate): Trigger {
  return OWN_TRIGGERS.find((trigger) => trigger === metadata.labels?.[Label.trigger]) ?? 'migrate-request';
}

/** What a run for it is started with. */
export function inputOf(migrate: LocalVolumeMigrate): MigrateVolumeInput {
  const { name, uid } = migrate.metadata;
  const { volumeName: volume, sourceNode } = migrate.spec;
  const trigger = triggerOf(migrate);
  return { volume, sourceNode, trigger, ...(trigger === 'migrate-request' && { request: { name, uid } }) };
}

/** All of the volume's, live, the oldest first. */
export async function migrationsOf(kube: KubeClient, volume: string): Promise<readonly LocalVolumeMigrate[]> {
  const found = await kube.list(localVolumeMigrates, { fieldSelector: `spec.volumeName=${volume}` });
  const age = ({ metadata }: LocalVolumeMigrate) => `${metadata.creationTimestamp} ${metadata.name}`;
  return found.sort((a, b) => (age(a) < age(b) ? -1 : 1));
}

export function labelsOf(volume: string, trigger: Trigger): Record<string, string> {
  return { ...(isLabelValue(volume) && { [Label.volume]: volume }), [Label.trigger]: trigger };
}

/** @param uids of what the migration comes after. */
export function migrationName(volume: string, uids: readonly string[]): string {
  return `${volume.slice(0, VOLUME_CHARACTERS)}-${nameSuffix(volume, ...[...uids].sort())}`;
}

/** Six lower-case letters and digits, as HwameiStor appends to a volume's name; the same for the same parts. */
export function nameSuffix(...parts: readonly string[]): string {
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest();
  return digest.readBigUInt64BE().toString(36).padStart(6, '0').slice(-6);
}

function isLabelValue(text: string): boolean {
  return text.length <= 63 && /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text);
}
