/** A move with a crash in it, of whatever kind of volume: once for each command at which the agents can die. */
import { expect } from 'vitest';
import type { FakeCluster } from './fake-cluster.ts';
import { Crash, type CrashPoint } from './fake-node.ts';
import { abort, close, copy, crashPoints, move } from './scenario.ts';

/** Some hundred moves, each with its own crash. */
export const EVERY_CRASH = { timeout: 60_000 };

/**
 * The agents die, are started again, and the move ends as it does without a crash.
 * @param isTried the commands that are tried; by default all. @param also what else has to hold then.
 */
export async function expectSameEnd(
  newOne: () => FakeCluster,
  isTried: (point: CrashPoint, line: string) => boolean = () => true,
  also: (cluster: FakeCluster, when: string) => void = () => undefined,
): Promise<void> {
  const whole = newOne();
  await move(whole);
  const points = crashPoints(whole.commands).filter((point) => isTried(point, whole.commands[point.command]!));
  expect(points.length).toBeGreaterThan(20);
  for (const crashAt of points) {
    const cluster = newOne();
    cluster.crashAt = crashAt;
    await move(cluster);
    const when = `a crash ${crashAt.moment} "${whole.commands[crashAt.command]}"`;
    expect(cluster.crashAt, `${when} happened`).toBeUndefined();
    expect(cluster.snapshot(), `after ${when}`).toEqual(whole.snapshot());
    also(cluster, `after ${when}`);
  }
}

/** The agents die before the point of no return, are not asked again, and an abort leaves both nodes as they were. */
export async function expectRestored(newOne: () => FakeCluster): Promise<void> {
  const untouched = newOne().snapshot();
  const untilClosed = async (cluster: FakeCluster) => {
    await copy(cluster);
    await close(cluster);
  };
  const whole = newOne();
  await untilClosed(whole);
  for (const crashAt of crashPoints(whole.commands)) {
    const cluster = newOne();
    cluster.crashAt = crashAt;
    cluster.insist = async (node, step) => {
      cluster.scheduledAt += 1;
      return step(cluster.agent(node));
    };
    await expect(untilClosed(cluster)).rejects.toBeInstanceOf(Crash);
    await abort(cluster);
    expect(cluster.snapshot(), `after a crash ${crashAt.moment} "${whole.commands[crashAt.command]}"`).toEqual(untouched);
  }
}
