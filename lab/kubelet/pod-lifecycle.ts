/**
 * What a pod's containers are to do, and what its status says of them. Pure.
 *
 *     Pending -> (init containers one after another) -> Running -> Succeeded | Failed      by restartPolicy, as Kubernetes defines it
 *
 * There are no probes: a container that runs is ready.
 */
import type { ContainerOnNode, PodOnNode } from './node-snapshot.ts';
import type { Condition, Container, ContainerStatus, Pod, PodStatus } from './objects.ts';

/** A container that ended is started again after 1 s, 2 s, 4 s ... at most this: shorter than Kubernetes' five minutes, for people who wait. */
const LONGEST_BACKOFF_SECONDS = 8;

export interface StartDecision {
  readonly start: readonly { readonly container: Container; readonly attempt: number }[];
}

/** @param onNode undefined where the node knows nothing of the pod. @param now seconds since the epoch. */
export function containersToStart(pod: Pod, onNode: PodOnNode | undefined, now: number): StartDecision['start'] {
  const due = (container: Container): StartDecision['start'] => {
    const state = onNode?.containers.get(container.name);
    if (!state) return [{ container, attempt: previousAttempts(pod, container) + 1 }];
    const again = state.exit && restarts(pod, container, state.exit.code) && now >= state.exit.at + backoffSeconds(state);
    return again ? [{ container, attempt: state.attempt + 1 }] : [];
  };
  const waitsFor = (pod.spec.initContainers ?? []).find((container) => onNode?.containers.get(container.name)?.exit?.code !== 0);
  return waitsFor ? due(waitsFor) : pod.spec.containers.flatMap(due);
}

/** A node that was rebooted has forgotten its containers; the pod's status has not. */
function previousAttempts(pod: Pod, { name }: Container): number {
  const known = [...(pod.status.containerStatuses ?? []), ...(pod.status.initContainerStatuses ?? [])].find(
    (status) => status.name === name,
  );
  return known?.containerID ? known.restartCount + 1 : 0;
}

function restarts(pod: Pod, container: Container, exitCode: number): boolean {
  if (pod.spec.initContainers?.includes(container)) return exitCode !== 0 && pod.spec.restartPolicy !== 'Never';
  return pod.spec.restartPolicy === 'Always' || (pod.spec.restartPolicy === 'OnFailure' && exitCode !== 0);
}

function backoffSeconds({ attempt, startedAt, exit }: ContainerOnNode): number {
  const ranFor = (exit?.at ?? startedAt) - startedAt;
  return ranFor > 60 ? 1 : Math.min(2 ** Math.min(attempt - 1, 10), LONGEST_BACKOFF_SECONDS);
}

export function isTerminal({ status }: Pod): boolean {
  return status.phase === 'Succeeded' || status.phase === 'Failed';
}

/** A real kubelet unmounts seconds after it has failed the pod: long enough for a successor to be scheduled. */
const MOUNT_LINGERS_MILLISECONDS = 10_000;

/** Of a pod that was evicted under node pressure. @param now milliseconds since the epoch. */
export function mountLingers({ status }: Pod, now: number): boolean {
  const evicted = status.conditions?.find(({ type, reason }) => type === 'DisruptionTarget' && reason === 'TerminationByKubelet');
  return status.reason === 'Evicted' && now < Date.parse(evicted?.lastTransitionTime ?? '') + MOUNT_LINGERS_MILLISECONDS;
}

export function allEnded(onNode: PodOnNode): boolean {
  return [...onNode.containers.values()].every(({ exit }) => exit);
}

/** The fields of the status that are the kubelet's. @param now ISO 8601, used where something changed. */
export function podStatus(pod: Pod, onNode: PodOnNode | undefined, nodeAddress: string, now: string): PodStatus {
  const { initContainers = [], containers } = pod.spec;
  const initialised = initContainers.every(({ name }) => onNode?.containers.get(name)?.exit?.code === 0);
  const ready = containers.every(({ name }) => isRunning(onNode?.containers.get(name))) && !onNode?.stopping;
  return {
    phase: phaseOf(pod, onNode),
    hostIP: nodeAddress,
    podIP: nodeAddress,
    startTime: pod.status.startTime ?? now,
    ...(initContainers.length > 0 && {
      initContainerStatuses: initContainers.map((container) => containerStatus(pod, container, onNode?.containers.get(container.name))),
    }),
    containerStatuses: containers.map((container) => containerStatus(pod, container, onNode?.containers.get(container.name))),
    conditions: [
      condition(pod, 'Initialized', initialised, now),
      condition(pod, 'ContainersReady', ready, now),
      condition(pod, 'Ready', ready, now),
    ],
  };
}

function phaseOf(pod: Pod, onNode: PodOnNode | undefined): string {
  if (isTerminal(pod)) return pod.status.phase!;
  const states = pod.spec.containers.map((container) => ({ container, exit: onNode?.containers.get(container.name)?.exit }));
  const initFailed = pod.spec.initContainers?.some((container) => {
    const code = onNode?.containers.get(container.name)?.exit?.code;
    return code !== undefined && code !== 0 && !restarts(pod, container, code);
  });
  if (initFailed) return 'Failed';
  if (states.every(({ container, exit }) => exit && (onNode?.stopping || !restarts(pod, container, exit.code))))
    return states.some(({ exit }) => exit!.code !== 0) ? 'Failed' : 'Succeeded';
  const started = states.every(({ container }) => onNode?.containers.has(container.name));
  // After a reboot the containers are on their way again: a pod does not go back to Pending.
  return started || pod.status.phase === 'Running' ? 'Running' : 'Pending';
}

function isRunning(state: ContainerOnNode | undefined): boolean {
  return state !== undefined && !state.exit;
}

function containerStatus(pod: Pod, container: Container, state: ContainerOnNode | undefined): ContainerStatus {
  const restartCount = (state?.attempt ?? previousAttempts(pod, container) + 1) - 1;
  const base = { name: container.name, image: container.image ?? '', imageID: container.image ?? '', restartCount };
  if (!state) return { ...base, ready: false, started: false, state: { waiting: { reason: 'ContainerCreating' } } };
  const containerID = `lab://${pod.metadata.uid}/${container.name}/${state.attempt}`;
  const startedAt = isoTime(state.startedAt);
  if (!state.exit) return { ...base, containerID, ready: true, started: true, state: { running: { startedAt } } };
  const { code, at } = state.exit;
  const terminated = { exitCode: code, reason: code === 0 ? 'Completed' : 'Error', startedAt, finishedAt: isoTime(at), containerID };
  return { ...base, containerID, ready: false, started: false, state: { terminated } };
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

function condition(pod: Pod, type: string, holds: boolean, now: string): Condition {
  const status = holds ? 'True' : 'False';
  const previous = pod.status.conditions?.find((candidate) => candidate.type === type);
  const lastTransitionTime = previous?.status === status && previous.lastTransitionTime ? previous.lastTransitionTime : now;
  return { type, status, lastTransitionTime, ...(!holds && type !== 'Initialized' && { reason: 'ContainersNotReady' }) };
}

/** Whether the API server's status lacks anything of the kubelet's. */
export function statusDiffers({ status }: Pod, wanted: PodStatus): boolean {
  const { conditions = [], ...fields } = wanted;
  const known = status as Readonly<Record<string, unknown>>;
  if (Object.entries(fields).some(([key, value]) => !covers(known[key], value))) return true;
  return conditions.some((one) => !status.conditions?.some((other) => other.type === one.type && other.status === one.status));
}

/** Whether `known` has everything that `wanted` has; the API server may have added defaults. */
function covers(known: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return known === wanted;
  if (typeof known !== 'object' || known === null) return Object.keys(wanted).length === 0;
  const other = known as Readonly<Record<string, unknown>>;
  if (Array.isArray(wanted) && Array.isArray(known) && wanted.length !== known.length) return false;
  return Object.entries(wanted).every(([key, value]) => covers(other[key], value));
}
