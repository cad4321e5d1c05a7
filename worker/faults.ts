/**
 * Points at which a test makes this process die: `REHOME_FAULTS=crash-after:switchObjects.delete,crash-before:removeSource`.
 *
 * A step is an activity, or a part of one named `<activity>.<part>`. Without the variable every point does nothing.
 */
import type { FaultPoint } from '../core/contracts/configuration.ts';

/** Called by whoever is about to take a step, and again when it is done. */
export type ReachFaultPoint = (moment: FaultPoint['moment'], step: string) => void;

/** @param crash ends the process at once, as `kill -9` would: nothing is flushed, no handler runs. */
export function faultPoints(points: readonly FaultPoint[], crash = () => void process.kill(process.pid, 'SIGKILL')): ReachFaultPoint {
  return (moment, step) => {
    if (points.some((point) => point.moment === moment && point.step === step)) crash();
  };
}
