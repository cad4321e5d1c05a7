/** The steps that make a mirror, keep it in sync and compare its ends. */
import { Context } from '@temporalio/activity';
import type { Mirror, MirrorEndpoint } from '../../core/contracts/migration.ts';
import type { DetachFacts, MirrorRole, NodeActivities } from '../../core/contracts/node-activities.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import { bytesIn } from '../../core/domain/sector-ranges.ts';
import { diskOf, fail, type Permission } from './fake-node.ts';
import type { Node, World } from './world.ts';

type MirrorSteps = Pick<
  NodeActivities,
  'allocateEndpoint' | 'ensureTargetMirror' | 'ensureSourceMirror' | 'awaitSync' | 'readTargetCounter' | 'verifyMirror' | 'repairMirror'
>;

const MAKES_MIRROR: readonly Phase[] = ['Preparing', 'Syncing', 'Verifying', 'CuttingOver'];
const KEEPS_MIRROR: readonly Phase[] = ['Syncing', 'Verifying', 'AwaitingDetach', 'CuttingOver'];
const VERIFIES: readonly Phase[] = ['Verifying', 'CuttingOver'];

/** Both ends are put in at once. */
const HANDSHAKE_MILLISECONDS = 2000;

export function createFakeMirrorSteps(world: World, node: Node, permitted: Permission): MirrorSteps {
  const endpoint = (): MirrorEndpoint => ({ port: 20_000, minor: 20_000, logicalBlockSizeBytes: node.logicalBlockSizeBytes });
  const allocate = ({ migration, pairing }: Mirror, role: MirrorRole): void => {
    const found = node.mirrors.get(migration.volume);
    if (found?.migrationUid === migration.uid && found.pairing === pairing) return;
    const state = { attached: false, inserted: false, readKib: 0, volumeSectors: 0, mirrorSectors: 0 };
    node.mirrors.set(migration.volume, { migrationUid: migration.uid, pairing, ...state });
    // New metadata: all of it is copied again.
    const disk = node.volumes.get(migration.volume);
    if (role === 'target' && disk?.migrationUid === migration.uid) disk.content = '';
  };
  return {
    async allocateEndpoint({ mirror, role }) {
      permitted(mirror, role, MAKES_MIRROR);
      allocate(mirror, role);
      return endpoint();
    },

    async ensureTargetMirror({ mirror }) {
      permitted(mirror, 'target', [...MAKES_MIRROR, ...KEEPS_MIRROR]);
      const { volume, uid } = mirror.migration;
      const disk = node.volumes.get(volume);
      if (disk && disk.migrationUid !== uid) throw fail('LogicalVolumeConflict', `${volume} on ${node.name} is somebody else's`);
      if (!disk) {
        const bits = { content: '', sizeBytes: mirror.sizeBytes, active: true, hasSnapshots: false, open: false };
        node.volumes.set(volume, { ...bits, migrationUid: uid });
      }
      allocate(mirror, 'target');
      node.mirrors.get(volume)!.attached = true;
      return node.fullThinPool === undefined ? {} : { fullThinPool: node.fullThinPool };
    },

    async ensureSourceMirror({ mirror }) {
      permitted(mirror, 'source', ['Preparing', 'Syncing', 'Verifying'], false);
      const state = node.mirrors.get(mirror.migration.volume);
      if (state?.pairing !== mirror.pairing) throw fail('MirrorNotReady', 'no metadata of this pairing');
      const answers = () => world.peerOf(mirror.migration.volume, node.name)?.mirror.attached;
      const deadline = Date.now() + HANDSHAKE_MILLISECONDS;
      while (!answers() && Date.now() < deadline) await Context.current().sleep(10);
      if (!answers()) throw fail('MirrorNotReady', 'the target does not answer');
      if (!state.inserted) Object.assign(state, { attached: true, inserted: true });
      return { base: { volume: counters(0), mirror: counters(0) } };
    },

    async awaitSync({ mirror }) {
      permitted(mirror, 'source', KEEPS_MIRROR);
      const { volume } = mirror.migration;
      const disk = diskOf(node, mirror);
      const state = node.mirrors.get(volume);
      if (!state?.attached) return { kind: 'sourceLost', message: 'the mirror has gone from the kernel' };
      if (disk.active && !state.inserted) return { kind: 'bypassed', message: 'the device leads past the mirror' };
      const peer = world.peerOf(volume, node.name);
      if (!peer?.mirror.attached || peer.node.storageCut) return { kind: 'peerLost', message: 'WFConnection' };
      Context.current().heartbeat({ syncedBytes: 0 });
      // What DRBD never saw it never sends.
      if (peer.disk.content === '') {
        peer.disk.content = disk.content;
        world.copies += 1;
      }
      const totalBytes = mirror.sizeBytes;
      return { kind: 'synced', progress: { totalBytes, syncedBytes: totalBytes, outOfSyncBytes: 0, bytesPerSecond: 0 } };
    },

    async readTargetCounter({ mirror }) {
      permitted(mirror, 'target', [...VERIFIES, 'AwaitingDetach']);
      const state = node.mirrors.get(mirror.migration.volume);
      if (!state?.attached) throw fail('MirrorNotReady', 'the mirror is not up');
      return { readKib: state.readKib };
    },

    async verifyMirror({ mirror, ranges }) {
      permitted(mirror, 'source', VERIFIES);
      const peer = world.peerOf(mirror.migration.volume, node.name);
      if (!peer?.mirror.attached || !node.mirrors.get(mirror.migration.volume)?.attached) throw fail('MirrorNotReady', 'not connected');
      node.compared.push(ranges ?? 'everything');
      peer.mirror.readKib += (ranges ? bytesIn(ranges) : mirror.sizeBytes) / 1024;
      const skipped = node.skips.shift();
      const outOfSyncBytes = peer.disk.content === diskOf(node, mirror).content && !world.restless ? 0 : 4096;
      return { completed: true, outOfSyncBytes, healthy: true, ...(skipped && { skipped }) };
    },

    async repairMirror({ mirror }) {
      permitted(mirror, 'source', VERIFIES, false);
      const peer = world.peerOf(mirror.migration.volume, node.name);
      if (peer) peer.disk.content = diskOf(node, mirror).content;
    },
  };
}

/** @throws MirrorNotReady */
export function detachFacts(world: World, node: Node, mirror: Mirror): DetachFacts {
  const { volume } = mirror.migration;
  const state = node.mirrors.get(volume);
  if (!state?.attached) throw fail('MirrorNotReady', 'no mirror in place');
  const disk = diskOf(node, mirror);
  return {
    inserted: !disk.active || state.inserted,
    open: disk.open,
    connectedUpToDate: world.peerOf(volume, node.name)?.mirror.attached === true,
    outOfSyncBytes: 0,
    volume: counters(state.volumeSectors),
    mirror: counters(state.mirrorSectors),
    base: { volume: counters(0), mirror: counters(0) },
  };
}

const counters = (writtenSectors: number) => ({ writtenSectors, discardedSectors: 0 });
