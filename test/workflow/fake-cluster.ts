/** The cluster activities on a World. Migrations are really started, through Temporal's client. */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { MigrationWorkflows } from '../../activities/cluster/migration-workflows.ts';
import type { SyncTurns } from '../../activities/cluster/turns.ts';
import type {
  ClusterActivities,
  CompanionsVerdict,
  EvictedMigration,
  MigrationRecord,
  PhaseReport,
  ReserveRequest,
  RunningMigration,
} from '../../core/contracts/cluster-activities.ts';
import type { MigrationRef } from '../../core/contracts/migration.ts';
import type { Trigger } from '../../core/contracts/names.ts';
import { isTerminal, type Phase } from '../../core/contracts/phases.ts';
import type { PermanentError, Refusal } from '../../core/contracts/reasons.ts';
import { type Companion, type CompanionMove, judgeCompanions } from '../../core/domain/companions.ts';
import { inWords } from '../../core/domain/stay.ts';
import type { Migrate, Node, World } from './world.ts';

const FORWARD: readonly Phase[] = ['CuttingOver', 'RemovingSource', 'Completed', 'NeedsAttention'];

export const CLUSTER_ACTIVITIES = [
  'observeVolume',
  'findMigration',
  'openMigration',
  'reportPhase',
  'reserveTarget',
  'releaseReservation',
  'switchObjects',
  'removeSourceReplica',
  'requestTurn',
  'releaseTurn',
  'observeNodeEviction',
  'startMigration',
  'findEndedMigrations',
  'releaseHolds',
  'reportNodeEviction',
  'observePodEviction',
  'reportPodEviction',
  'endPodEviction',
] as const satisfies (keyof ClusterActivities)[];

export function createFakeClusterActivities(world: World, workflows: MigrationWorkflows, turns: SyncTurns): ClusterActivities {
  const activities: ClusterActivities = {
    async observeVolume({ volume, sourceNode, trigger }) {
      const objects = world.volumes.get(volume);
      const node = world.node(sourceNode);
      const migrate = world.openMigrate(volume);
      const percent = migrate?.percent;
      const stays = objects?.stays && inWords(volume, objects.stays);
      const companions = migrate && objects && objects.companions.length > 0 ? companionsVerdict(world, migrate) : undefined;
      const unwanted = companions?.follows === undefined ? (whyUnwanted(world, volume, node, trigger) ?? stays) : undefined;
      return {
        ...(objects && {
          localVolume: {
            pool: objects.pool,
            requiredCapacityBytes: objects.requiredCapacityBytes,
            convertible: false,
            replicaNodes: [...objects.replicas.keys()],
          },
        }),
        ...(objects?.replicas.has(sourceNode) && { sourceReplica: { name: `${volume}-${sourceNode}` } }),
        source: { node: sourceNode, storageAddress: node.storageAddress },
        ...(unwanted !== undefined && { unwanted }),
        heldBy: [...(objects?.heldBy ?? [])],
        ...(objects?.online && { online: objects.online }),
        agentAlive: Object.fromEntries([...world.nodes.values()].map(({ name, agentAlive }) => [name, agentAlive])),
        ...(percent !== undefined && { percent }),
        ...(companions && { companions }),
      };
    },

    async findMigration({ volume }) {
      const open = world.openMigrate(volume);
      return open && recordOf(world, open);
    },

    async openMigration({ volume, sourceNode, trigger, request }) {
      const open = world.openMigrate(volume);
      if (open) return recordOf(world, open);
      const ended = world.migrates.filter((migrate) => migrate.ref.volume === volume && migrate.sourceNode === sourceNode);
      const hasMoved = ended.some(({ phase }) => phase === 'Completed') && !world.volumes.get(volume)?.replicas.has(sourceNode);
      if (hasMoved) throw permanent('SourceReplicaMissing', `${volume} has moved away from ${sourceNode}`);
      const number = world.migrates.length + 1;
      if (request && world.requests.get(volume)?.withdrawn !== false) throw permanent('RequestWithdrawn', `${request.name} is deleted`);
      const ref = { ...(request ?? { name: `${volume}-${number}`, uid: `uid-${number}` }), volume };
      const migrate: Migrate = {
        ref,
        trigger,
        sourceNode,
        phase: 'Pending',
        reportedAt: 0,
        message: '',
        pointOfNoReturn: false,
        proven: false,
        abortedByPerson: false,
        holdReleased: false,
        earlier: new Set(world.migrates.filter((other) => isTerminal(other.phase)).map((other) => other.ref.uid)),
        phases: ['Pending'],
      };
      world.migrates.push(migrate);
      return recordOf(world, migrate);
    },

    async reportPhase(report) {
      const migrate = find(world, report.ref);
      const scheduledAt = Context.current().info.currentAttemptScheduledTimestampMs;
      assertAllowed(migrate, report, scheduledAt);
      migrate.reportedAt = scheduledAt;
      const { ref, event, refusals, unfit, ...status } = report;
      Object.assign(migrate, { ...status, reason: report.reason ?? event });
      if (refusals) migrate.message = `${report.message}: ${listed(refusals)}`;
      if (unfit) migrate.message = `${report.message} (unfit: ${listed(unfit)})`;
      world.messages.push(migrate.message);
      if (report.phase === 'Reserving') delete migrate.target;
      if (report.phase !== 'NeedsAttention') delete migrate.parkedIn;
      if (migrate.phases.at(-1) !== report.phase) migrate.phases.push(report.phase);
      if (event) world.events.push(`${event} ${ref.volume}`);
    },

    async reserveTarget(request) {
      if (isTerminal(find(world, request.ref).phase)) throw permanent('NotPermitted', `${request.ref.name} has ended`);
      const { ref, givenUp } = request;
      const holding = [...world.nodes.values()].filter(({ reservations }) => reservations.get(ref.volume) === ref.uid);
      const standing = holding.find(({ name }) => givenUp[name] === undefined);
      if (standing) return reserved(standing);
      const suggested = world.requests.get(request.ref.volume)?.suggested ?? [];
      const candidates = suggested.length > 0 ? suggested.map((name) => world.node(name)) : [...world.nodes.values()];
      const judged = candidates.map((node) => [node.name, refusal(node, request)] as const);
      const refusals = Object.fromEntries(judged.filter((each): each is [string, Refusal] => each[1] !== undefined));
      const chosen = nodeOfCompanions(world, request) ?? candidates.find(({ name }) => refusals[name] === undefined);
      if (!chosen) return { kind: 'refused', refusals };
      for (const { reservations } of holding) reservations.delete(ref.volume);
      chosen.reservations.set(ref.volume, ref.uid);
      return { ...reserved(chosen), ...(suggested.length > 0 && Object.keys(refusals).length > 0 && { unfit: refusals }) };
    },

    async releaseReservation({ ref }) {
      for (const { reservations } of world.nodes.values()) if (reservations.get(ref.volume) === ref.uid) reservations.delete(ref.volume);
    },

    async switchObjects({ ref, sourceNode, target, sizeBytes }) {
      const objects = world.volumes.get(ref.volume);
      if (!find(world, ref).pointOfNoReturn) world.violated(`the objects of ${ref.volume} change before the point of no return`);
      if (!world.node(target.node).volumes.get(ref.volume)?.active)
        world.violated(`${ref.volume} is given to ${target.node}, where it is not active`);
      if (!objects) return;
      objects.replicas.set(target.node, sizeBytes);
      objects.affinity = target.node;
      if (world.node(sourceNode).volumes.get(ref.volume)?.active) world.violated(`${ref.volume} is active on both nodes`);
    },

    async removeSourceReplica({ ref, sourceNode }) {
      world.volumes.get(ref.volume)?.replicas.delete(sourceNode);
      await activities.releaseReservation({ ref });
    },

    async requestTurn(request) {
      await turns.ask(request);
      return turns.limits;
    },

    async releaseTurn({ volume }) {
      await turns.giveBack(volume);
    },

    async observeNodeEviction({ node: name }) {
      const node = world.nodes.get(name);
      const volumes = [...world.volumes].filter(([, { replicas }]) => replicas.has(name));
      const emptied = node?.cordoned === true && !node.disabled;
      const leaving = world.migrates.filter(
        ({ sourceNode, phase, trigger }) => sourceNode === name && !isTerminal(phase) && (emptied || trigger === 'node-drain'),
      );
      return {
        exists: node?.exists ?? false,
        cordoned: node?.cordoned ?? false,
        disabled: node?.disabled ?? false,
        ...(world.evictionDelaySeconds > 0 && { delaySeconds: world.evictionDelaySeconds }),
        volumes: volumes.map(([volume, { stays, companions }]) => {
          const held = [volume, ...companions].some((other) => isHeld(world, other, name));
          return { volume, held, ...(stays && { stays }) };
        }),
        running: leaving.map(describe),
      };
    },

    async startMigration({ follower, ...input }) {
      await workflows.startOrFollow(input, follower);
    },

    async findEndedMigrations({ volumes }) {
      const ends = await Promise.all(volumes.map((volume) => workflows.endOf(volume)));
      return ends.filter((end) => end !== undefined);
    },

    async releaseHolds({ node }) {
      for (const migrate of world.migrates) if (migrate.sourceNode === node && migrate.phase === 'Aborted') migrate.holdReleased = true;
    },

    async reportNodeEviction({ node, event, message }) {
      world.events.push(`${event} ${node}: ${message}`);
    },

    async observePodEviction({ pod: { uid }, node: name, claims }) {
      const isMarked = (volume: string) => world.evictedPods.get(uid)?.marked.has(volume) === true;
      const running = claims.filter(isMarked).flatMap((volume) => world.openMigrate(volume) ?? []);
      return {
        ...(world.node(name).disabled && { unwanted: `node ${name} has label hwameistor.io/eviction=disable` }),
        volumes: claims.map((volume) => {
          const { replicas, stays } = world.volumes.get(volume) ?? {};
          return { volume, onNode: replicas?.has(name) === true, ...(!isMarked(volume) && { unmarked: true }), ...(stays && { stays }) };
        }),
        running: running.map(describeEvicted),
      };
    },

    async reportPodEviction({ pod, event, message }) {
      world.events.push(`${event} ${pod.name}: ${message}`);
    },

    async endPodEviction({ pod: { uid } }) {
      const pod = world.evictedPods.get(uid);
      if (!pod) return;
      pod.label = 'completed';
      pod.marked.clear();
    },
  };
  return observed(world, activities);
}

/** Every activity passes the faults, and is written down once it took effect. */
function observed(world: World, activities: ClusterActivities): ClusterActivities {
  const entries = Object.entries(activities).map(([name, activity]) => [
    name,
    (request: { readonly volume?: string; readonly ref?: MigrationRef; readonly phase?: Phase }) => {
      const step = name === 'reportPhase' ? `reportPhase ${request.phase}` : name;
      return world.faults.around(
        { activity: step, volume: request.volume ?? request.ref?.volume },
        Context.current().cancelled,
        async () => {
          const result = await (activity as (request: unknown) => Promise<unknown>)(request);
          world.journal.push(step);
          return result;
        },
      );
    },
  ]);
  return Object.fromEntries(entries) as ClusterActivities;
}

function whyUnwanted(world: World, volume: string, node: Node, trigger: Trigger): string | undefined {
  const open = world.openMigrate(volume);
  if (open?.withdrawn) return `LocalVolumeMigrate ${open.ref.name} is deleted`;
  const request = world.requests.get(volume);
  const isAskedFor = open ? open.ref.uid === request?.uid : trigger === 'migrate-request';
  if ((open?.trigger ?? trigger) === 'pod-eviction') return whyNoPodLeaves(world, volume, node);
  if (!isAskedFor) return whyNotToBeEmptied(node);
  return request?.withdrawn === false ? undefined : `LocalVolumeMigrate ${request?.name} is deleted`;
}

function whyNoPodLeaves({ evictedPods }: World, volume: string, node: Node): string | undefined {
  if (node.disabled) return `node ${node.name} has label hwameistor.io/eviction=disable`;
  const leaves = [...evictedPods.values()].some((pod) => pod.node === node.name && pod.marked.has(volume));
  return leaves ? undefined : `no eviction of a pod on ${node.name} goes on`;
}

function describe({ ref, phase, target, message, percent }: Migrate): RunningMigration {
  return { volume: ref.volume, phase, message, ...(target && { target: target.node }), ...(percent !== undefined && { percent }) };
}

function describeEvicted(migrate: Migrate): EvictedMigration {
  const { pointOfNoReturn, reason, syncedBytes } = migrate;
  return {
    ...describe(migrate),
    pointOfNoReturn,
    ...(reason !== undefined && { reason }),
    ...(syncedBytes !== undefined && { syncedBytes }),
  };
}

function whyNotToBeEmptied({ cordoned, disabled, name }: Node): string | undefined {
  if (!cordoned) return `node ${name} is not cordoned`;
  return disabled ? `node ${name} has label hwameistor.io/eviction=disable` : undefined;
}

/** The cluster's own judgement, of what this world says. */
function companionsVerdict(
  world: World,
  { ref: { volume }, trigger, sourceNode, target, pairing = 0, earlier }: Migrate,
): CompanionsVerdict {
  const companions = world.volumes.get(volume)!.companions.map((other): Companion => {
    const moves = world.migrates.filter((migrate) => migrate.ref.volume === other && migrate.sourceNode === sourceNode);
    const move = moves.findLast((migrate) => !earlier.has(migrate.ref.uid));
    const { replicas, heldBy } = world.volumes.get(other)!;
    return {
      volume: other,
      nodes: [...replicas.keys()],
      heldBy,
      isDue: trigger === 'node-drain' || isAskedFor(world, other) || whyNoPodLeaves(world, other, world.node(sourceNode)) === undefined,
      ...(move && { move: { ...move, pairing: move.pairing ?? 0, ...(move.target && { target: move.target.node }) } as CompanionMove }),
    };
  });
  return judgeCompanions({ volume, sourceNode, pairing, ...(target && { target: target.node }) }, companions);
}

/** Somebody's LocalVolumeMigrate that no run has taken up. */
function isAskedFor({ requests, migrates }: World, volume: string): boolean {
  const request = requests.get(volume);
  return request?.withdrawn === false && !migrates.some(({ ref }) => ref.uid === request.uid);
}

/** Where another volume of its pods goes or is, unless that was given up. */
function nodeOfCompanions(world: World, { ref: { volume }, sourceNode, givenUp }: ReserveRequest): Node | undefined {
  const { companions = [] } = world.volumes.get(volume) ?? {};
  const isThere = (name: string) => companions.some((other) => name !== sourceNode && world.volumes.get(other)?.replicas.has(name));
  return [...world.nodes.values()].find(
    ({ name, reservations }) => givenUp[name] === undefined && (isThere(name) || companions.some((other) => reservations.has(other))),
  );
}

function isHeld(world: World, volume: string, node: string): boolean {
  const last = world.migrates.findLast(({ ref, sourceNode }) => ref.volume === volume && sourceNode === node);
  return last?.phase === 'Aborted' && last.abortedByPerson && !last.holdReleased;
}

function recordOf(world: World, migrate: Migrate): MigrationRecord {
  const {
    message,
    reason,
    phases,
    reportedAt,
    holdReleased,
    percent,
    syncedBytes,
    proven,
    targetSha256,
    trigger,
    earlier,
    withdrawn,
    ...record
  } = migrate;
  return { ...record, hashCheck: world.hashCheck };
}

function find(world: World, { name, uid }: MigrationRef): Migrate {
  const found = world.migrates.find(({ ref }) => ref.uid === uid);
  if (!found) throw permanent('NotPermitted', `LocalVolumeMigrate ${name} is gone`);
  return found;
}

function assertAllowed({ phase: current, pointOfNoReturn, ref, reportedAt }: Migrate, { phase }: PhaseReport, scheduledAt: number): void {
  if (scheduledAt < reportedAt) throw permanent('StaleActivity', `${ref.name} has had a later report`);
  if (isTerminal(current) && phase !== current) throw permanent('StaleActivity', `${ref.name} has ended`);
  if (pointOfNoReturn && !FORWARD.includes(phase)) throw permanent('PointOfNoReturnPassed', `${ref.name} cannot enter ${phase}`);
}

function refusal(node: Node, { sourceNode, sizeBytes, givenUp }: ReserveRequest): Refusal | undefined {
  if (node.name === sourceNode) return 'SourceNode';
  if (givenUp[node.name]) return givenUp[node.name];
  if (node.cordoned) return 'NodeUnschedulable';
  return node.freeBytes < sizeBytes ? 'PoolFull' : undefined;
}

const reserved = ({ name, storageAddress }: Node) => ({ kind: 'reserved', target: { node: name, storageAddress } }) as const;

function listed(refusals: Readonly<Record<string, Refusal>>): string {
  return Object.entries(refusals)
    .map(([node, reason]) => `${node} ${reason}`)
    .join(', ');
}

function permanent(type: PermanentError, message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, type);
}
