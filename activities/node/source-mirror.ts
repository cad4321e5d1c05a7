/**
 * The source's end of a mirror: DRBD beneath a volume that may be in use.
 *
 *   back device (the volume's own table) -> attached -> Primary -> connected, paused -> PausedSyncS -> inserted (table swap) -> sync
 *
 * The order is what keeps the data: a source that connects before it is Primary can be overwritten by its target; a sync that starts before the
 * table swap misses what is written past it. Each step is skipped where the kernel shows that it was taken. Once the mirror was inserted (the tag of
 * its write counters says so) it is never inserted again within a pairing: what happened in between was written past it.
 */
import type { Mirror, MirrorEndpoint } from '../../core/contracts/migration.ts';
import type { SourceMirror } from '../../core/contracts/node-activities.ts';
import { createDevice, removeDevice } from '../../system/device-mapper/change-device.ts';
import { formatTable, isOpen, type MappedDevice, type TableLine } from '../../system/device-mapper/devices.ts';
import type { MirrorPair } from '../../system/drbd/mirror-driver.ts';
import { activateLogicalVolume } from '../../system/lvm/logical-volume.ts';
import { ensureAttached, ensureConnecting } from './attach-mirror.ts';
import { besideUsers } from './beside-users.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { insertMirror, settleDevice } from './insertion.ts';
import { changeMetadata } from './metadata-volume.ts';
import {
  act,
  isAttached,
  leadsThroughMirror,
  lookAround,
  type MirrorStep,
  type NodeVolume,
  requireBeforeCutOver,
  requireMetadata,
} from './mirror-step.ts';
import { writeBaseTag } from './mirror-tags.ts';

export function ensureSourceMirror(deps: NodeDependencies, mirror: Mirror, targetEndpoint: MirrorEndpoint): Promise<SourceMirror> {
  const phases = ['Preparing', 'Syncing', 'Verifying'] as const;
  return act(deps, mirror, { role: 'source', phases, pointOfNoReturn: false }, async (step) => {
    const standing = await lookAround(step);
    // Before it is activated: a source that was cut over stays out of reach.
    checkVolume(step, standing);
    const found = await activate(step, await settleDevice(step, standing));
    const { tags } = requireMetadata(step, found);
    if (tags.writeBase) requireStillInserted(found);
    if (!isAttached(found.resource)) await ensureBackDevice(step, found);
    const pair = await ensureAttached(step, found, targetEndpoint.port, { path: step.names.backPath, thin: false });
    if (found.resource?.state?.role !== 'Primary') await step.drbd.promoteByForce(pair);
    if (isOpen(found.device)) await step.drbd.controlSync(pair, besideUsers(deps.syncSettings));
    await ensureConnecting(step, pair, { paused: !tags.writeBase });
    const base = tags.writeBase ?? (await insert(step, pair));
    await step.drbd.resumeSync(pair);
    return { base };
  });
}

/** A volume without a device gets it, unless it was closed: then the mirror has it. */
async function activate(step: MirrorStep, found: NodeVolume): Promise<NodeVolume> {
  if (!found.logicalVolume || found.device || isAttached(found.resource)) return found;
  await activateLogicalVolume(step.host, found.logicalVolume);
  return lookAround(step);
}

/** @throws LogicalVolumeMissing, LogicalVolumeSizeMismatch, SnapshotOnVolume, PointOfNoReturnPassed */
function checkVolume({ mirror }: MirrorStep, found: NodeVolume): void {
  const { logicalVolume } = found;
  const name = `${mirror.pool}/${mirror.migration.volume}`;
  if (!logicalVolume) throw failure('LogicalVolumeMissing', `logical volume ${name} does not exist on the source`);
  requireBeforeCutOver(found);
  if (logicalVolume.sizeBytes !== mirror.sizeBytes) {
    const message = `logical volume ${name} has ${logicalVolume.sizeBytes} bytes, the migration began with ${mirror.sizeBytes}`;
    throw failure('LogicalVolumeSizeMismatch', message);
  }
  if (found.hasSnapshots)
    throw failure('SnapshotOnVolume', `logical volume ${name} has snapshots, which would not move along: remove them`);
}

/** @throws MirrorBypassed where the volume is in use past its mirror, or the mirror has gone from the kernel. */
function requireStillInserted({ device, resource }: NodeVolume): void {
  const inserted = isAttached(resource) && (!device || leadsThroughMirror(device, resource?.minor));
  if (!inserted)
    throw failure('MirrorBypassed', 'the mirror was inserted and is no longer in place: it has to begin anew, as a new pairing');
}

/** The device beneath the mirror; one that does not have the volume's table is left over from an attempt that was broken off. */
async function ensureBackDevice({ host, names }: MirrorStep, { device, back }: NodeVolume): Promise<void> {
  if (!device) throw failure('MirrorNotReady', `logical volume device ${names.device} does not appear`);
  checkTable(device);
  if (back && formatTable(back.table) === formatTable(device.table)) return;
  if (back) await removeDevice(host, names.backDevice);
  await createDevice(host, names.backDevice, device.table);
}

/**
 * Only tables that say where the data lies, and nothing else, mean the same beneath another device. That of a thin volume names its pool and its number in
 * it; one with an origin outside the pool names that too. @throws TableNotSupported
 */
function checkTable({ name, table }: MappedDevice): void {
  const isPlain = ({ target, args }: TableLine) =>
    target === 'linear' || target === 'striped' || (target === 'thin' && args.split(' ').length === 2);
  const other = table.find((line) => !isPlain(line));
  if (other)
    throw failure('TableNotSupported', `${name} has a table of type ${other.target} (${other.args}), beneath which no mirror can be put`);
}

/** The mirror was made of what the volume was then: LVM may have moved or changed it since. @throws MirrorBypassed */
function requireSameTable({ device, back, resource }: NodeVolume): void {
  if (!device || !back || leadsThroughMirror(device, resource?.minor) || formatTable(back.table) === formatTable(device.table)) return;
  throw failure(
    'MirrorBypassed',
    `${device.name} has changed since the mirror was made beneath it, which has to begin anew as a new pairing`,
  );
}

/** Waits for the handshake, swaps the table, and keeps the counters, in this order: a crash before the last is repeated whole, the sync still paused. */
async function insert(step: MirrorStep, pair: MirrorPair): Promise<SourceMirror['base']> {
  await awaitHandshake(step, pair);
  const found = await lookAround(step);
  requireSameTable(found);
  const base = await insertMirror(step, found.device, pair.minor);
  await changeMetadata(step, requireMetadata(step, found), { addTags: [writeBaseTag(base)] });
  return base;
}

const HANDSHAKE_SECONDS = 20;
const LOOK_EVERY_MILLISECONDS = 200;
/** Whoever reaches the port with a wrong secret makes this end give up; more than a few times in a handshake is no accident. */
const RECONNECTS = 3;

/**
 * Until both ends have met and agreed that everything is to be copied, from here to there. "Connected" alone would not do: a target without a disk
 * connects too, and mirrors nothing. @throws MirrorNotReady
 */
async function awaitHandshake(step: MirrorStep, pair: MirrorPair): Promise<void> {
  const { drbd, mirror, deps } = step;
  const attempt = deps.attempt();
  const deadline = performance.now() + HANDSHAKE_SECONDS * 1000;
  for (let reconnects = 0; ; ) {
    const state = await drbd.observeMinor(pair.minor);
    const everything = state?.outOfSyncKib === mirror.sizeBytes / 1024;
    if (state?.role === 'Primary' && state.replication === 'PausedSyncS' && state.peerDisk === 'Inconsistent' && everything) return;
    if (performance.now() > deadline) {
      const found =
        state && `${state.connection} ${state.replication}, ${state.disk}/${state.peerDisk}, ${state.outOfSyncKib} KiB out of sync`;
      throw failure(
        'MirrorNotReady',
        `source and target did not agree on a full sync within ${HANDSHAKE_SECONDS} s: ${found ?? 'no mirror'}`,
      );
    }
    if (state?.connection === 'StandAlone' && reconnects < RECONNECTS) {
      reconnects += 1;
      await ensureConnecting(step, pair, { paused: true });
    }
    await attempt.sleep(LOOK_EVERY_MILLISECONDS);
  }
}
