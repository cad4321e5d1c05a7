/** A node's activities on a World: they look first, act on the difference, and refuse what the migration's record does not permit. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Mirror } from '../../core/contracts/migration.ts';
import type { MirrorRole, NodeActivities, NodeVolumeFacts } from '../../core/contracts/node-activities.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import type { PermanentError, TransientError } from '../../core/contracts/reasons.ts';
import { judgeDetach, mayClose } from '../../core/domain/detach.ts';
import { createFakeMirrorSteps, detachFacts } from './fake-mirror-steps.ts';
import type { LogicalVolume, Node, World } from './world.ts';

export const fail = (type: PermanentError | TransientError, message: string): ApplicationFailure =>
  ApplicationFailure.create({ type, message });

export function createFakeNodeActivities(world: World, nodeName: string): NodeActivities {
  const node = world.node(nodeName);
  const permitted: Permission = (mirror, role, phases, pointOfNoReturn) =>
    requirePermission(world, nodeName, mirror, { role, phases, pointOfNoReturn });

  const activities: NodeActivities = {
    ...createFakeMirrorSteps(world, node, permitted),

    async observeVolume({ volume, pool }) {
      if (!node.volumeGroups.has(pool)) return { volumeGroupFound: false };
      return { volumeGroupFound: true, ...describe(node, volume) };
    },

    async closeSource({ mirror }) {
      permitted(mirror, 'source', ['CuttingOver'], false);
      const disk = diskOf(node, mirror);
      const facts = detachFacts(world, node, mirror);
      if (mayClose(judgeDetach(facts))) disk.active = false;
      return facts;
    },

    async markCutOver({ mirror, role }) {
      permitted(mirror, role, ['CuttingOver'], role === 'target' ? true : undefined);
      const disk = diskOf(node, mirror);
      if (disk.cutOverBy === mirror.migration.uid) return;
      const attached = node.mirrors.get(mirror.migration.volume)?.attached === true;
      const peer = world.peerOf(mirror.migration.volume, nodeName);
      const connected = peer?.mirror.attached && peer.disk.content === disk.content;
      // A target is whole since its source was marked.
      if (!attached || (role === 'source' && (disk.active || !connected))) throw fail('MirrorNotReady', 'the mirror is not whole');
      if (peer?.disk.content !== disk.content)
        world.violated(`the two copies of ${mirror.migration.volume} differ and ${nodeName} is marked`);
      disk.cutOverBy = mirror.migration.uid;
    },

    async hashVolume({ mirror, role }) {
      permitted(mirror, role, ['CuttingOver']);
      return { sha256: createHash('sha256').update(diskOf(node, mirror).content).digest('hex') };
    },

    async dissolveMirror({ mirror, role }) {
      permitted(mirror, role, ['CuttingOver'], true);
      const disk = diskOf(node, mirror);
      if (disk.cutOverBy !== mirror.migration.uid) throw fail('NotPermitted', 'the volume has no mark');
      node.mirrors.delete(mirror.migration.volume);
      disk.active = role === 'target';
    },

    async removeSource({ mirror }) {
      permitted(mirror, 'source', ['RemovingSource'], true);
      const { volume } = mirror.migration;
      const disk = node.volumes.get(volume);
      if (!disk) return;
      const copy = world.node(mirror.target.node).volumes.get(volume);
      if (copy?.content !== disk.content) world.violated(`${volume} is removed on ${nodeName}, but its copy is not the same`);
      if (world.volumes.get(volume)?.affinity !== mirror.target.node) world.violated(`${volume} is removed where its PersistentVolume is`);
      node.volumes.delete(volume);
    },

    async releaseTarget({ mirror }) {
      permitted(mirror, 'target', ['RemovingSource'], true);
      const disk = diskOf(node, mirror);
      delete disk.migrationUid;
      delete disk.cutOverBy;
    },

    async restoreSource({ mirror }) {
      permitted(mirror, 'source', ['Aborting', 'Preparing'], false);
      const disk = diskOf(node, mirror);
      if (disk.cutOverBy) throw fail('PointOfNoReturnPassed', `${mirror.migration.volume} was cut over`);
      node.mirrors.delete(mirror.migration.volume);
      disk.active = true;
    },

    async discardTarget({ mirror }) {
      permitted(mirror, 'target', ['Aborting', 'Preparing'], false);
      const { volume, uid } = mirror.migration;
      if (node.volumes.get(volume)?.cutOverBy) throw fail('PointOfNoReturnPassed', `${volume} was cut over`);
      if (node.mirrors.get(volume)?.migrationUid === uid) node.mirrors.delete(volume);
      if (node.volumes.get(volume)?.migrationUid === uid) node.volumes.delete(volume);
    },
  };
  return observed(world, node, activities);
}

function describe(node: Node, volume: string): Omit<NodeVolumeFacts, 'volumeGroupFound'> {
  const disk = node.volumes.get(volume);
  const mirror = node.mirrors.get(volume);
  return {
    ...(disk && {
      logicalVolume: {
        sizeBytes: disk.sizeBytes,
        segmentTypes: ['linear'],
        hasSnapshots: disk.hasSnapshots,
        active: disk.active,
        open: disk.open,
        logicalBlockSizeBytes: node.logicalBlockSizeBytes,
        ...(disk.migrationUid && { migrationUid: disk.migrationUid }),
        ...(disk.cutOverBy && { cutOverBy: disk.cutOverBy }),
      },
    }),
    ...(mirror && {
      mirror: {
        migrationUid: mirror.migrationUid,
        pairing: mirror.pairing,
        attached: mirror.attached,
        inserted: mirror.inserted && disk?.active === true,
      },
    }),
  };
}

export function diskOf(node: Node, { migration }: Mirror): LogicalVolume {
  const disk = node.volumes.get(migration.volume);
  if (!disk) throw fail('LogicalVolumeMissing', `${node.name} has no ${migration.volume}`);
  return disk;
}

/** @throws NotPermitted */
export type Permission = (mirror: Mirror, role: MirrorRole, phases: readonly Phase[], pointOfNoReturn?: boolean) => void;

interface Requirement {
  readonly role: MirrorRole;
  readonly phases: readonly Phase[];
  readonly pointOfNoReturn: boolean | undefined;
}

function requirePermission(world: World, node: string, mirror: Mirror, { role, phases, pointOfNoReturn }: Requirement): void {
  const migrate = world.migrates.find(({ ref }) => ref.uid === mirror.migration.uid);
  const named = role === 'source' ? migrate?.sourceNode : migrate?.target?.node;
  if (!migrate || named !== node) throw fail('NotPermitted', `nothing names ${node} as ${role}`);
  if (!phases.includes(migrate.phase)) throw fail('NotPermitted', `${migrate.ref.name} is in phase ${migrate.phase}`);
  if (pointOfNoReturn !== undefined && migrate.pointOfNoReturn !== pointOfNoReturn) {
    throw fail('NotPermitted', `the point of no return is ${migrate.pointOfNoReturn ? '' : 'not '}passed`);
  }
  const recorded = [migrate.pool, migrate.sizeBytes, migrate.pairing, migrate.source, migrate.target];
  const asked = [mirror.pool, mirror.sizeBytes, mirror.pairing, mirror.source, mirror.target];
  if (migrate.phase !== 'Aborting' && !isDeepStrictEqual(recorded, asked)) {
    throw fail('NotPermitted', `the record has the mirror ${JSON.stringify(recorded)}, not ${JSON.stringify(asked)}`);
  }
}

const READ_ONLY = ['observeVolume', 'readTargetCounter', 'awaitSync', 'verifyMirror', 'hashVolume'];

/** Every activity passes the faults, heartbeats while it is held up there, and does not act once a later one has acted on the volume. */
function observed(world: World, node: Node, activities: NodeActivities): NodeActivities {
  const lastActs = new Map<string, number>();
  const entries = Object.entries(activities).map(([name, activity]) => [
    name,
    async (request: { readonly mirror?: Mirror; readonly volume?: string }) => {
      const context = Context.current();
      const volume = request.mirror?.migration.volume ?? request.volume;
      const heartbeats = setInterval(() => context.heartbeat(), 100);
      try {
        return await world.faults.around({ activity: name, node: node.name, volume }, context.cancelled, async () => {
          if (volume && !READ_ONLY.includes(name)) {
            const scheduledAt = context.info.currentAttemptScheduledTimestampMs;
            if (scheduledAt < (lastActs.get(volume) ?? 0)) throw fail('StaleActivity', `a later step has acted on ${volume}`);
            lastActs.set(volume, scheduledAt);
          }
          const result = await (activity as (request: unknown) => Promise<unknown>)(request);
          world.journal.push(`${name} ${node.name}`);
          return result;
        });
      } finally {
        clearInterval(heartbeats);
      }
    },
  ]);
  return Object.fromEntries(entries) as NodeActivities;
}
