/**
 * Whose eviction moves volumes: decided by level, from how a pod and its claims are now.
 *
 *   pod is there           label      claims     decision
 *   -----------------------------------------------------------------------------------------------
 *   evicted by its kubelet any other  whichever  start
 *   runs                   start      whichever  mark     (before anything else: the pod may be gone at the next look)
 *   is being deleted       start      whichever  start
 *   whichever              completed  marked     start    (its end was interrupted), unless the pod runs
 *   runs, or is deleted    none       marked     unmark   (somebody has taken the label off)
 *   gone                   -          marked     start
 *   anything else                                nothing
 */

export const START = 'start';
export const COMPLETED = 'completed';

/** What its eviction is decided by. */
export interface PodState {
  /** Of `hwameistor.io/eviction`. */
  readonly label?: string | undefined;
  /** Somebody has asked for its deletion, or its eviction by the API. */
  readonly deleting: boolean;
  readonly phase?: string | undefined;
  /** Of its status. */
  readonly reason?: string | undefined;
  readonly node?: string | undefined;
}

export interface PodEvictionTriggerFacts {
  /** undefined: it is gone. */
  readonly pod: PodState | undefined;
  /** A claim carries the mark of its eviction. */
  readonly marked: boolean;
}

/** start: mark the claims, and start the eviction or tell the one that runs. mark: only that. unmark: the mark goes. */
export type PodEvictionDecision = 'start' | 'mark' | 'unmark' | 'nothing';

/** By its kubelet, because its node has too little of something. */
export function isEvicted({ phase, reason }: PodState): boolean {
  return phase === 'Failed' && reason === 'Evicted';
}

/** It uses its volumes for good no longer than it takes to end: whoever replaces it should start where they are going to be. */
export function isLeaving(pod: PodState): boolean {
  return pod.deleting || isEvicted(pod);
}

export function decidePodEviction({ pod, marked }: PodEvictionTriggerFacts): PodEvictionDecision {
  if (!pod) return marked ? 'start' : 'nothing';
  if (pod.node === undefined) return 'nothing';
  if (pod.label === COMPLETED) return marked ? (isLeaving(pod) ? 'start' : 'unmark') : 'nothing';
  if (isEvicted(pod)) return 'start';
  if (pod.label === START) return pod.deleting ? 'start' : marked ? 'nothing' : 'mark';
  return marked ? 'unmark' : 'nothing';
}

/** A mark counts from the moment at which its pod leaves. @param pod of the mark's uid; undefined: it is gone. */
export function hasBegun(pod: PodState | undefined): boolean {
  return pod === undefined || isLeaving(pod);
}

/** A pod that leaves and that the claims do not speak of yet: nobody has looked at it so far. */
export function willBeEvicted(pod: PodState): boolean {
  return decidePodEviction({ pod, marked: false }) === 'start';
}
