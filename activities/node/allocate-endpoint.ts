/**
 * Where one end of a mirror listens: a port and a minor that nothing else on the node uses, kept in the tags of the mirror's metadata volume.
 *
 * Every pairing has a metadata volume of its own, so that no metadata, port or secret of an earlier one is met again. The source's endpoint also says
 * what kind of volume the target has to make.
 */
import type { NumberRange } from '../../core/contracts/configuration.ts';
import type { Mirror, MirrorEndpoint } from '../../core/contracts/migration.ts';
import { Tag } from '../../core/contracts/names.ts';
import type { MirrorRole } from '../../core/contracts/node-activities.ts';
import { readLogicalBlockSizeBytes } from '../../system/block-device.ts';
import { metadataSizeBytes } from '../../system/drbd/metadata-size.ts';
import { listPhysicalVolumes } from '../../system/lvm/report.ts';
import { listListeningPorts } from '../../system/network.ts';
import type { NodeDependencies } from './dependencies.ts';
import { failure } from './failure.ts';
import { createMetadata, listTagged, removeMetadata, type Tagged } from './metadata-volume.ts';
import { act, lookAround, type MirrorStep, type NodeVolume, requireBeforeCutOver } from './mirror-step.ts';
import { parseMetadataTags, tag } from './mirror-tags.ts';
import { MAKES_MIRROR } from './permission.ts';
import { takeMirrorDown } from './take-mirror-down.ts';
import { thinVolumeOf } from './thin-volume.ts';
import { allocateOnNode } from './volume-lock.ts';

export function allocateEndpoint(deps: NodeDependencies, mirror: Mirror, role: MirrorRole): Promise<MirrorEndpoint> {
  return act(deps, mirror, { role, phases: MAKES_MIRROR }, async (step) => {
    const found = await lookAround(step);
    const standing = found.metadata?.tags;
    const stands = standing?.migrationUid === mirror.migration.uid && standing.pairing === mirror.pairing;
    if (!stands) await clearEarlierPairing(step, found);
    const { port, minor } = stands ? standing : await allocate(step, standing?.port);
    const logicalBlockSizeBytes = await blockSizeOf(step, found);
    const thin = role === 'source' && found.logicalVolume ? thinVolumeOf(found.logicalVolume, found.volumes) : undefined;
    return { port, minor, logicalBlockSizeBytes, ...(thin && { thin }) };
  });
}

/** @throws StaleActivity, PointOfNoReturnPassed, LogicalVolumeConflict */
async function clearEarlierPairing(step: MirrorStep, found: NodeVolume): Promise<void> {
  requireBeforeCutOver(found);
  const { mirror } = step;
  const { metadata } = found;
  if (metadata && metadata.tags.migrationUid !== mirror.migration.uid) {
    throw failure('LogicalVolumeConflict', `migration ${metadata.tags.migrationUid} still has a mirror of ${mirror.migration.volume} here`);
  }
  if (metadata && metadata.tags.pairing > mirror.pairing) {
    throw failure('StaleActivity', `pairing ${metadata.tags.pairing} has begun, this is ${mirror.pairing}`);
  }
  await takeMirrorDown(step, found);
  if (metadata) await removeMetadata(step, metadata);
}

/** Creates the metadata volume with its tags. @throws NoFreePort, NoFreeMinor */
async function allocate(step: MirrorStep, previousPort: number | undefined): Promise<{ port: number; minor: number }> {
  const { deps, mirror } = step;
  return allocateOnNode(deps, step.host, async (host) => {
    const taken = await endpointsTaken(step, await listTagged(host, deps.stateDirectory));
    if (previousPort !== undefined) taken.ports.add(previousPort);
    const port = firstFree(deps.portRange, taken.ports);
    const minor = firstFree(deps.minorRange, taken.minors);
    if (port === undefined) throw failure('NoFreePort', `every port of DRBD_PORT_RANGE is taken on ${deps.nodeName}: widen it`);
    if (minor === undefined) throw failure('NoFreeMinor', `every minor of DRBD_MINOR_RANGE is taken on ${deps.nodeName}: widen it`);
    const { uid, volume } = mirror.migration;
    const tags = [
      tag(Tag.migration, uid),
      tag(Tag.volume, volume),
      tag(Tag.pairing, mirror.pairing),
      tag(Tag.port, port),
      tag(Tag.minor, minor),
    ];
    await createMetadata({ ...step, host }, { volumeGroup: mirror.pool, sizeBytes: metadataSizeBytes(mirror.sizeBytes), tags });
    return { port, minor };
  });
}

/** By mirrors that are up, by mirrors that a reboot took down and that will come back, and by anybody else. */
async function endpointsTaken({ host, drbd }: MirrorStep, tagged: readonly Tagged[]) {
  const allocated = tagged.map(({ tags }) => parseMetadataTags(tags)).filter((tags) => tags !== undefined);
  const ports = new Set([...allocated.map(({ port }) => port), ...(await listListeningPorts(host))]);
  const inKernel = await drbd.listMinors();
  return { ports, minors: new Set([...allocated.map(({ minor }) => minor), ...inKernel]) };
}

function firstFree({ first, last }: NumberRange, taken: ReadonlySet<number>): number | undefined {
  for (let candidate = first; candidate <= last; candidate += 1) if (!taken.has(candidate)) return candidate;
  return undefined;
}

/** Of the volume where it stands, else of the disks: the largest that it may get on the target, the least that it may have on the source. */
async function blockSizeOf({ host, mirror, role }: MirrorStep, { device, back }: NodeVolume): Promise<number> {
  const standing = device ?? back;
  if (standing) return readLogicalBlockSizeBytes(host, standing.number);
  const disks = (await listPhysicalVolumes(host)).filter(({ volumeGroup, missing }) => volumeGroup === mirror.pool && !missing);
  if (disks.length === 0) throw failure('VolumeGroupUnknown', `there is no disk of a volume group ${mirror.pool}`);
  const sizes = await Promise.all(disks.map(async (disk) => readLogicalBlockSizeBytes(host, await host.deviceNumber(disk.device))));
  return role === 'target' ? Math.max(...sizes) : Math.min(...sizes);
}
