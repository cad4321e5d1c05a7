/**
 * What to do next to let a PersistentVolume name another node.
 *
 * A PersistentVolume's nodeAffinity cannot be changed, except on API servers that allow it, so it is made again under its name for the same claim.
 * Meanwhile the claim is Lost, and a crash must lose nothing. Nobody remembers where a rebind stands: it is read from what is there.
 *
 *   PersistentVolume                       record            next
 *   ---------------------------------------------------------------------------------------------
 *   names the source, affinity mutable     none              patchAffinity
 *   names the source                       none              record   (its manifest, outside the cluster's own bookkeeping)
 *   names the source, policy not Retain    of this uid       retain   (so that its end does not delete the data)
 *   names the source, policy Retain        of this uid       delete
 *   being deleted, policy Retain           of this uid       removeFinalizers
 *   none                                   some              create   (from the record: old policy and finalizers, new affinity)
 *   names the target                       whichever         bind     (until its claim is Bound again)
 *   names no node                          whichever         done
 *
 * Anything else is somebody else's doing and is refused: nothing is changed, a person looks.
 */

export interface NodeIdentity {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface NodeSelectorRequirement {
  readonly key: string;
  readonly operator: string;
  readonly values?: readonly string[];
}
interface NodeSelectorTerm {
  readonly matchExpressions?: readonly NodeSelectorRequirement[];
  readonly matchFields?: readonly NodeSelectorRequirement[];
}
/** `spec.nodeAffinity` of a PersistentVolume. */
export interface VolumeNodeAffinity {
  readonly required?: { readonly nodeSelectorTerms: readonly NodeSelectorTerm[] };
}

/** Where a PersistentVolume lets its pods run, seen from a move. `source` carries what it has to say after the move. */
export type VolumePlace =
  | { readonly kind: 'anywhere' | 'target' | 'elsewhere' }
  | { readonly kind: 'source'; readonly movedAffinity: VolumeNodeAffinity };

export interface RebindFacts {
  /** undefined: there is none. */
  readonly persistentVolume:
    | {
        readonly uid: string;
        readonly deleting: boolean;
        readonly reclaimPolicy: string;
        readonly finalizers: readonly string[];
        readonly place: VolumePlace['kind'];
      }
    | undefined;
  /** The recorded manifest's uid, if there is a record. */
  readonly recordedUid: string | undefined;
  /** VolumeAttachments of the volume, by name. */
  readonly attachments: readonly string[];
  /** The API server lets nodeAffinity be changed. */
  readonly affinityMutable: boolean;
}

/** Why a PersistentVolume is left alone. Shown to people: add to it, never reword. */
export type RebindRefusal = 'VolumeAttached' | 'ForeignFinalizer' | 'DeletedBySomebodyElse' | 'Replaced' | 'NotOnSource';

export type RebindStep =
  | { readonly kind: 'patchAffinity' | 'record' | 'retain' | 'delete' | 'removeFinalizers' | 'create' | 'bind' }
  | { readonly kind: 'done'; readonly outcome: 'NoNodeAffinity' | 'Absent' }
  | { readonly kind: 'refuse'; readonly refusal: RebindRefusal; readonly message: string };

/** Finalizers that only keep a PersistentVolume while it is bound or attached, or while its driver deletes the data behind it. */
function isOrdinaryFinalizer(finalizer: string): boolean {
  return (
    finalizer === 'kubernetes.io/pv-protection' ||
    finalizer === 'external-provisioner.volume.kubernetes.io/finalizer' ||
    finalizer.startsWith('external-attacher/')
  );
}

export function nextRebindStep({ persistentVolume, recordedUid, attachments, affinityMutable }: RebindFacts): RebindStep {
  if (!persistentVolume) return recordedUid === undefined ? { kind: 'done', outcome: 'Absent' } : { kind: 'create' };
  const { uid, deleting, reclaimPolicy, finalizers, place } = persistentVolume;
  const recorded = recordedUid === uid;

  if (!deleting && place === 'anywhere') return { kind: 'done', outcome: 'NoNodeAffinity' };
  if (!deleting && place === 'target') return { kind: 'bind' };
  if (recordedUid !== undefined && !recorded) {
    return refuse('Replaced', `it is not the one that was recorded (uid ${recordedUid}), but was made by somebody else (uid ${uid})`);
  }
  if (deleting && !(recorded && reclaimPolicy === 'Retain')) {
    return refuse('DeletedBySomebodyElse', `somebody else is deleting it (reclaim policy ${reclaimPolicy})`);
  }
  const foreign = finalizers.find((finalizer) => !isOrdinaryFinalizer(finalizer));
  if (deleting) return foreign === undefined ? { kind: 'removeFinalizers' } : refuseFinalizer(foreign);

  if (place === 'elsewhere')
    return refuse('NotOnSource', 'its nodeAffinity fits neither the source node before nor the target node after the move');
  // From the delete on only forward: an attachment that appears later finds the volume on its new node.
  if (attachments[0] !== undefined) return refuse('VolumeAttached', `it is attached (VolumeAttachment ${attachments[0]})`);
  if (affinityMutable && !recorded) return { kind: 'patchAffinity' };
  if (foreign !== undefined) return refuseFinalizer(foreign);
  if (!recorded) return { kind: 'record' };
  return reclaimPolicy === 'Retain' ? { kind: 'delete' } : { kind: 'retain' };
}

/** @param affinity of the PersistentVolume; undefined where it has none. */
export function placeOf(affinity: VolumeNodeAffinity | undefined, source: NodeIdentity, target: NodeIdentity): VolumePlace {
  const terms = affinity?.required?.nodeSelectorTerms ?? [];
  if (terms.length === 0) return { kind: 'anywhere' };
  const movedTerms = terms.map((term) => moveTerm(term, source, target));
  if (!movedTerms.some((term) => admits(term, target))) return { kind: 'elsewhere' };
  if (movedTerms.every((term, index) => term === terms[index])) return { kind: 'target' };
  return { kind: 'source', movedAffinity: { required: { nodeSelectorTerms: movedTerms } } };
}

/** The term with the target in place of the source, wherever the source is listed; the same object where nothing changes. */
function moveTerm(term: NodeSelectorTerm, source: NodeIdentity, target: NodeIdentity): NodeSelectorTerm {
  const move = (requirement: NodeSelectorRequirement): NodeSelectorRequirement => {
    const [from, to] = [labelOf(source, requirement.key), labelOf(target, requirement.key)];
    if (requirement.operator !== 'In' || from === to || !requirement.values?.includes(from)) return requirement;
    return { ...requirement, values: [...new Set(requirement.values.map((value) => (value === from ? to : value)))] };
  };
  const { matchExpressions, matchFields } = term;
  const moved = {
    ...(matchExpressions && { matchExpressions: matchExpressions.map(move) }),
    ...(matchFields && { matchFields: matchFields.map(move) }),
  };
  const same = requirementsOf(moved).every((requirement, index) => requirement === requirementsOf(term)[index]);
  return same ? term : moved;
}

function admits(term: NodeSelectorTerm, node: NodeIdentity): boolean {
  return requirementsOf(term).every(({ key, operator, values = [] }) => {
    if (operator === 'In') return values.includes(labelOf(node, key));
    if (operator === 'NotIn') return !values.includes(labelOf(node, key));
    if (operator === 'Exists') return key in node.labels;
    return operator === 'DoesNotExist' && !(key in node.labels);
  });
}

function requirementsOf({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm): readonly NodeSelectorRequirement[] {
  return [...matchExpressions, ...matchFields];
}

/** Keys that name the node itself (`metadata.name`, a CSI driver's topology key that its node does not carry yet) have its name as their value. */
function labelOf(node: NodeIdentity, key: string): string {
  return node.labels[key] ?? node.name;
}

function refuse(refusal: RebindRefusal, message: string): RebindStep {
  return { kind: 'refuse', refusal, message };
}

function refuseFinalizer(finalizer: string): RebindStep {
  return refuse('ForeignFinalizer', `finalizer ${finalizer} on it is somebody else's`);
}
