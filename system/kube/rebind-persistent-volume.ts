/**
 * Lets a PersistentVolume name another node: looks, asks `core/domain/rebind.ts` what comes next, does it, looks again.
 *
 * May be called again after a crash at any instant, by anybody who has the record. Every write carries what was read as its condition, so a step
 * that comes too late changes nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  type NodeIdentity,
  nextRebindStep,
  placeOf,
  type RebindFacts,
  type RebindRefusal,
  type RebindStep,
} from '../../core/domain/rebind.ts';
import { backoffMilliseconds } from './backoff.ts';
import type { KubeClient, NewObject } from './client.ts';
import { isAlreadyExists, isConflict, isInvalid, isNotFound, KubeError } from './errors.ts';
import {
  type PersistentVolume,
  type PersistentVolumeClaim,
  persistentVolumeClaims,
  persistentVolumes,
  volumeAttachments,
} from './resources.ts';

/** The PersistentVolume as it will be made again: its own policy and finalizers, the new affinity. JSON, kept where it outlives this process. */
export interface RebindRecord {
  /** Of the PersistentVolume it was taken from. */
  readonly uid: string;
  readonly manifest: NewObject<PersistentVolume>;
}

export interface RebindRequest {
  readonly persistentVolume: string;
  readonly source: NodeIdentity;
  readonly target: NodeIdentity;
}

export interface RebindOptions {
  readonly client: KubeClient;
  readonly probe: NodeAffinityProbe;
  /** In the migration's own object. `read` must see the last `write`. */
  readonly record: { read(): Promise<RebindRecord | undefined>; write(record: RebindRecord): Promise<void> };
  /** Called after each step: tests end the process there. */
  readonly reached?: (step: RebindStep['kind']) => Promise<void>;
  /** How long the claim may take to become Bound. Default 30; it takes 15 ms. */
  readonly boundTimeoutSeconds?: number;
}

/** `recreated`: Kubernetes has told the claim's owner of its loss (Event ClaimLost), which wants an Event of one's own beside it. */
export type RebindOutcome = { readonly kind: 'Rebound'; readonly recreated: boolean } | { readonly kind: 'NoNodeAffinity' | 'Absent' };

/**
 * Somebody else's hand is on the PersistentVolume, or the API server would not take it as it is to be made again: a person has to look. Nothing was
 * changed.
 */
export class PersistentVolumeRefused extends Error {
  override readonly name = 'PersistentVolumeRefused';
  readonly refusal: RebindRefusal | 'NotAccepted';

  constructor(persistentVolume: string, refusal: RebindRefusal | 'NotAccepted', message: string, options?: ErrorOptions) {
    super(`PersistentVolume ${persistentVolume}: ${message}`, options);
    this.refusal = refusal;
  }
}

/** The PersistentVolume names its new node, but its claim is not Bound to it: worth another attempt. */
export class ClaimNotBound extends Error {
  override readonly name = 'ClaimNotBound';
}

/** Whether an API server lets nodeAffinity be changed (feature gate MutablePVNodeAffinity). Asked once, by a change that is not stored. */
export class NodeAffinityProbe {
  #mutable: boolean | undefined;

  /** @param value the affinity that one would like the PersistentVolume to have; not the one it has. @throws {KubeError} where the answer says neither. */
  async isMutable(client: KubeClient, volume: PersistentVolume, value: unknown): Promise<boolean> {
    this.#mutable ??= await this.#ask(client, volume, value);
    return this.#mutable;
  }

  /** It has turned out otherwise. */
  forget(): void {
    this.#mutable = undefined;
  }

  async #ask(client: KubeClient, volume: PersistentVolume, value: unknown): Promise<boolean> {
    try {
      await client.jsonPatch(persistentVolumes, volume.metadata, affinityPatch(volume, value), { dryRun: true });
      return true;
    } catch (error) {
      if (isInvalid(error) && String(error).includes('immutable')) return false;
      throw error;
    }
  }
}

interface Observation {
  readonly facts: RebindFacts;
  readonly volume: PersistentVolume | undefined;
  readonly record: RebindRecord | undefined;
  readonly movedAffinity: unknown;
}

/** An annotation on a claim whose only use is that it changes: the volume controller looks at the claim again at once, not in 15 s. */
const NUDGE = 'rehome.io/rebound-at';
/** Steps that came too late because somebody else wrote meanwhile; more in one rebind are no accident. */
const MAXIMUM_LOST_RACES = 20;
/** Bad request, forbidden, invalid. */
const REFUSALS: readonly (number | undefined)[] = [400, 403, 422];
const RACE_BACKOFF = { minimumMilliseconds: 20, maximumMilliseconds: 500 };
const NUDGE_BACKOFF = { minimumMilliseconds: 50, maximumMilliseconds: 500 };

/** @throws {PersistentVolumeRefused | ClaimNotBound | KubeError} */
export async function rebindPersistentVolume(request: RebindRequest, options: RebindOptions): Promise<RebindOutcome> {
  for (let lostRaces = 0; ; ) {
    try {
      const observation = await observe(request, options);
      const step = nextRebindStep(observation.facts);
      if (step.kind === 'done') return { kind: step.outcome };
      if (step.kind === 'refuse') throw new PersistentVolumeRefused(request.persistentVolume, step.refusal, step.message);
      await act(step.kind, observation, options);
      await options.reached?.(step.kind);
      if (step.kind === 'bind') return { kind: 'Rebound', recreated: observation.record !== undefined };
    } catch (error) {
      if (isInvalid(error)) options.probe.forget();
      if (![isConflict, isInvalid, isNotFound, isAlreadyExists].some((raced) => raced(error)) || ++lostRaces > MAXIMUM_LOST_RACES)
        throw error;
      await sleep(backoffMilliseconds(RACE_BACKOFF, lostRaces, Math.random()));
    }
  }
}

async function observe(
  { persistentVolume: name, source, target }: RebindRequest,
  { client, probe, record: records }: RebindOptions,
): Promise<Observation> {
  const volume = await client.find(persistentVolumes, { name });
  // In this order: no record now means that the volume as read still had its own policy, for whoever sets Retain has recorded before.
  const record = await records.read();
  const none = {
    facts: { persistentVolume: undefined, recordedUid: record?.uid, attachments: [], affinityMutable: false },
    volume,
    record,
  };
  if (!volume) return { ...none, movedAffinity: undefined };

  const place = placeOf(volume.spec?.nodeAffinity, source, target);
  const deleting = volume.metadata.deletionTimestamp !== undefined;
  const movedAffinity = place.kind === 'source' ? place.movedAffinity : undefined;
  const toMove = movedAffinity !== undefined && !deleting;
  const facts: RebindFacts = {
    persistentVolume: {
      uid: volume.metadata.uid,
      deleting,
      reclaimPolicy: volume.spec?.persistentVolumeReclaimPolicy ?? '',
      finalizers: volume.metadata.finalizers ?? [],
      place: place.kind,
    },
    recordedUid: record?.uid,
    attachments: toMove ? await attachmentsOf(client, name) : [],
    affinityMutable: toMove && !record && (await probe.isMutable(client, volume, movedAffinity)),
  };
  return { facts, volume, record, movedAffinity };
}

async function attachmentsOf(client: KubeClient, persistentVolume: string): Promise<string[]> {
  const attachments = await client.list(volumeAttachments);
  return attachments.filter(({ spec }) => spec.source.persistentVolumeName === persistentVolume).map(({ metadata }) => metadata.name);
}

type ActingStep = Exclude<RebindStep['kind'], 'done' | 'refuse'>;

async function act(step: ActingStep, observation: Observation, options: RebindOptions): Promise<void> {
  const { client } = options;
  const { volume, record, movedAffinity } = observation;
  if (step === 'create') {
    await client.create(persistentVolumes, record!.manifest);
    return;
  }
  const { name, uid, resourceVersion, finalizers } = volume!.metadata;
  const unchanged = { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion } as const;
  const same = { op: 'test', path: '/metadata/uid', value: uid } as const;
  switch (step) {
    case 'patchAffinity':
      await client.jsonPatch(persistentVolumes, { name }, affinityPatch(volume!, movedAffinity));
      return;
    case 'record':
      await options.record.write(recordOf(volume!, movedAffinity));
      return;
    case 'retain': {
      await requireAccepted(client, await upToDateRecord(observation, options));
      const retain = { op: 'replace', path: '/spec/persistentVolumeReclaimPolicy', value: 'Retain' } as const;
      await client.jsonPatch(persistentVolumes, { name }, [same, unchanged, retain]);
      return;
    }
    case 'delete':
      await requireAccepted(client, await upToDateRecord(observation, options));
      await client.delete(persistentVolumes, { name }, { preconditions: { uid, resourceVersion } });
      return;
    case 'removeFinalizers': {
      // The list that was judged, or none of it: somebody may have added to it.
      const judged = { op: 'test', path: '/metadata/finalizers', value: finalizers } as const;
      await client.jsonPatch(persistentVolumes, { name }, [same, judged, { op: 'remove', path: '/metadata/finalizers' }]);
      return;
    }
    case 'bind':
      await bind(client, volume!, options.boundTimeoutSeconds ?? 30);
      return;
  }
}

/** Somebody may have changed the volume since it was recorded, for one to have it accepted: that would be lost. Its own policy only the record knows. */
async function upToDateRecord({ volume, record, movedAffinity }: Observation, options: RebindOptions): Promise<RebindRecord> {
  const { uid, manifest } = recordOf(volume!, movedAffinity);
  const { persistentVolumeReclaimPolicy = 'Retain' } = record!.manifest.spec ?? {};
  const current = { uid, manifest: { ...manifest, spec: { ...manifest.spec, persistentVolumeReclaimPolicy } } };
  if (!isDeepStrictEqual(current, record)) await options.record.write(current);
  return current;
}

/** Rules of the cluster may have been made since the volume was: after the delete it would be too late to hear of them. */
async function requireAccepted(client: KubeClient, { manifest }: RebindRecord): Promise<void> {
  try {
    await client.create(persistentVolumes, manifest, { dryRun: true });
  } catch (error) {
    // What is said last, when all the rest was found right.
    if (isAlreadyExists(error)) return;
    if (!(error instanceof KubeError) || !REFUSALS.includes(error.status)) throw error;
    const message = `it is not deleted, for it could not be made again: ${error.message}`;
    throw new PersistentVolumeRefused(manifest.metadata.name ?? '', 'NotAccepted', message, { cause: error });
  }
}

function affinityPatch({ metadata, spec }: PersistentVolume, value: unknown) {
  return [
    { op: 'test', path: '/metadata/uid', value: metadata.uid },
    { op: 'test', path: '/spec/nodeAffinity', value: spec?.nodeAffinity },
    { op: 'replace', path: '/spec/nodeAffinity', value },
  ] as const;
}

function recordOf({ metadata, spec }: PersistentVolume, movedAffinity: unknown): RebindRecord {
  const { name, labels, annotations, finalizers, ownerReferences } = metadata;
  const { claimRef, ...rest } = spec ?? {};
  const { resourceVersion: _, ...claim } = claimRef ?? {};
  // A structural copy: what the object has and does not name stays away.
  const manifest = {
    metadata: { name, labels, annotations, finalizers, ownerReferences },
    spec: { ...rest, nodeAffinity: movedAffinity, ...(claimRef && { claimRef: claim }) },
  };
  return { uid: metadata.uid, manifest: JSON.parse(JSON.stringify(manifest)) as NewObject<PersistentVolume> };
}

/**
 * Waits until the volume controller has bound claim and volume to each other. Its caches of the two are separate: a claim that it judged without the
 * new volume becomes Lost even now. So only a nudge that was answered Bound *after* the volume was seen Bound proves that none is under way.
 */
async function bind(client: KubeClient, { metadata, spec }: PersistentVolume, timeoutSeconds: number): Promise<void> {
  const { namespace, name, uid } = spec?.claimRef ?? {};
  if (namespace === undefined || name === undefined || uid === undefined) return;
  const deadline = performance.now() + timeoutSeconds * 1000;
  for (let attempt = 1; ; attempt++) {
    const volumePhase = (await client.find(persistentVolumes, metadata))?.status?.phase;
    const claim = await client.find(persistentVolumeClaims, { namespace, name });
    // A claim that was deleted meanwhile leaves the volume Released, and its own policy does the rest.
    if (claim?.metadata.uid !== uid) return;
    const nudged = await nudge(client, claim, new Date().toISOString());
    if (volumePhase === 'Bound' && nudged.status?.phase === 'Bound') {
      await nudge(client, claim, null);
      return;
    }
    if (performance.now() > deadline) {
      throw new ClaimNotBound(
        `claim ${namespace}/${name} is ${nudged.status?.phase}, its volume ${volumePhase ?? 'gone'} after ${timeoutSeconds} s`,
      );
    }
    await sleep(backoffMilliseconds(NUDGE_BACKOFF, attempt, Math.random()));
  }
}

async function nudge(client: KubeClient, { metadata }: PersistentVolumeClaim, value: string | null): Promise<PersistentVolumeClaim> {
  return client.mergePatch(persistentVolumeClaims, metadata, { metadata: { uid: metadata.uid, annotations: { [NUDGE]: value } } });
}
