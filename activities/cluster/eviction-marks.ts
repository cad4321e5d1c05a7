/**
 * Marks of evicted pods on their claims: what is left of such a pod when it is gone, and what a migration begun because of it is wanted by.
 *
 * Each is an annotation of its own, so that several pods that share a claim need not know of each other.
 */
import { Annotation, Label } from '../../core/contracts/names.ts';
import { type EvictionMark, evictionMarkSchema } from '../../core/contracts/objects/index.ts';
import type { PodState } from '../../core/domain/pod-eviction.ts';
import type { KubeClient } from '../../system/kube/client.ts';
import { isNotFound } from '../../system/kube/errors.ts';
import { keyOf, type PersistentVolumeClaim, persistentVolumeClaims, pods } from '../../system/kube/resources.ts';
import type { ClusterStores, PodView } from './stores.ts';
import type { ClaimName } from './volume-objects.ts';

/** A mark, and the uid of the pod that it is about. */
export interface PodEviction extends EvictionMark {
  readonly uid: string;
}

/** What somebody has written under such a name that is none marks nothing. */
export function evictionMarksOf({ metadata }: Pick<PersistentVolumeClaim, 'metadata'>): readonly PodEviction[] {
  return Object.entries(metadata.annotations ?? {}).flatMap(([key, value]) => {
    if (!key.startsWith(Annotation.evictionMarkPrefix)) return [];
    const mark = parseMark(value);
    return mark ? [{ ...mark, uid: key.slice(Annotation.evictionMarkPrefix.length) }] : [];
  });
}

/** @param claim of a volume, as `claimOf` names it. None, or one that is gone, has no marks. */
export function evictionMarksIn(stores: ClusterStores, claim: ClaimName | undefined): readonly PodEviction[] {
  const found = claim && stores.persistentVolumeClaims.get(keyOf(claim));
  return found ? evictionMarksOf(found) : [];
}

export function isMarkedBy(claim: Pick<PersistentVolumeClaim, 'metadata'> | undefined, uid: string): boolean {
  return claim !== undefined && evictionMarksOf(claim).some((mark) => mark.uid === uid);
}

function parseMark(text: string): EvictionMark | undefined {
  try {
    return evictionMarkSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** A claim that is gone is left gone. */
export function markClaim(kube: KubeClient, claim: ClaimName, { uid, ...mark }: PodEviction): Promise<void> {
  return annotate(kube, claim, uid, JSON.stringify(mark satisfies EvictionMark));
}

export function unmarkClaim(kube: KubeClient, claim: ClaimName, uid: string): Promise<void> {
  return annotate(kube, claim, uid, null);
}

async function annotate(kube: KubeClient, claim: ClaimName, uid: string, value: string | null): Promise<void> {
  try {
    await kube.mergePatch(persistentVolumeClaims, claim, { metadata: { annotations: { [Annotation.evictionMark(uid)]: value } } });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

export function podStateOf({ metadata, spec, status }: PodView): PodState {
  return {
    label: metadata.labels?.[Label.eviction],
    deleting: metadata.deletionTimestamp !== undefined,
    phase: status?.phase,
    reason: status?.reason,
    node: spec?.nodeName,
  };
}

/** As it is at this moment; undefined: it is gone, whoever has its name now. */
export async function findPod(kube: KubeClient, name: ClaimName, uid: string): Promise<PodState | undefined> {
  const found = await kube.find(pods, name);
  return found?.metadata.uid === uid ? podStateOf(found) : undefined;
}
