/** A move as a workflow asks for it, step by step, and the ways out of it. */
import { ApplicationFailure } from '@temporalio/common';
import { expect, onTestFinished } from 'vitest';
import type { Mirror } from '../../../../core/contracts/migration.ts';
import { FakeCluster, mirror } from './fake-cluster.ts';
import type { CrashPoint } from './fake-node.ts';

/** @param prepare what is different on its nodes. */
export function newCluster(prepare?: (cluster: FakeCluster) => void): FakeCluster {
  const cluster = new FakeCluster(mirror);
  onTestFinished(() => cluster.dispose());
  prepare?.(cluster);
  return cluster;
}

/** From Preparing to a copy that was verified. */
export async function copy(cluster: FakeCluster, wanted: Mirror = mirror): Promise<void> {
  const { n1, n2 } = cluster;
  cluster.prepare(wanted);
  const sourceEndpoint = await cluster.insist(n1, (agent) => agent.allocateEndpoint({ mirror: wanted, role: 'source' }));
  const targetEndpoint = await cluster.insist(n2, (agent) => agent.allocateEndpoint({ mirror: wanted, role: 'target' }));
  await cluster.insist(n2, (agent) => agent.ensureTargetMirror({ mirror: wanted, sourceEndpoint }));
  await cluster.insist(n1, (agent) => agent.ensureSourceMirror({ mirror: wanted, targetEndpoint }));
  cluster.enter('Syncing');
  expect(await cluster.insist(n1, (agent) => agent.awaitSync({ mirror: wanted }))).toMatchObject({ kind: 'synced' });
  cluster.enter('Verifying');
  const before = await cluster.insist(n2, (agent) => agent.readTargetCounter({ mirror: wanted }));
  const report = await cluster.insist(n1, (agent) => agent.verifyMirror({ mirror: wanted }));
  expect(report).toMatchObject({ completed: true, healthy: true, outOfSyncBytes: 0 });
  const after = await cluster.insist(n2, (agent) => agent.readTargetCounter({ mirror: wanted }));
  // A pass that a crash cut off is repeated, so it is whole passes that count here.
  expect((after.readKib - before.readKib) % (wanted.sizeBytes / 1024)).toBe(0);
}

export async function close(cluster: FakeCluster) {
  cluster.enter('CuttingOver');
  return cluster.insist(cluster.n1, (agent) => agent.closeSource({ mirror }));
}

/** Both marks, the source's first. */
export async function mark(cluster: FakeCluster): Promise<void> {
  await cluster.insist(cluster.n1, (agent) => agent.markCutOver({ mirror, role: 'source' }));
  cluster.enter('CuttingOver', true);
  await cluster.insist(cluster.n2, (agent) => agent.markCutOver({ mirror, role: 'target' }));
}

/** @param upToRemoval the source is still there. */
export async function cutOver(cluster: FakeCluster, { upToRemoval = false } = {}): Promise<void> {
  const { n1, n2 } = cluster;
  const source = await cluster.insist(n1, (agent) => agent.hashVolume({ mirror, role: 'source' }));
  await mark(cluster);
  await cluster.insist(n1, (agent) => agent.dissolveMirror({ mirror, role: 'source' }));
  await cluster.insist(n2, (agent) => agent.dissolveMirror({ mirror, role: 'target' }));
  expect(await cluster.insist(n2, (agent) => agent.hashVolume({ mirror, role: 'target' }))).toEqual(source);
  cluster.enter('RemovingSource', true);
  if (upToRemoval) return;
  await cluster.insist(n1, (agent) => agent.removeSource({ mirror }));
  await cluster.insist(n2, (agent) => agent.releaseTarget({ mirror }));
}

export async function move(cluster: FakeCluster): Promise<void> {
  await copy(cluster);
  await close(cluster);
  await cutOver(cluster);
}

export async function abort(cluster: FakeCluster, begun: Mirror = mirror): Promise<void> {
  cluster.enter('Aborting');
  await cluster.insist(cluster.n1, (agent) => agent.restoreSource({ mirror: begun }));
  await cluster.insist(cluster.n2, (agent) => agent.discardTarget({ mirror: begun }));
}

/** After each command, which is before the next; a table swap also halfway. */
export function crashPoints(commands: readonly string[]): CrashPoint[] {
  return commands.flatMap((line, command) =>
    (['after', ...(line.includes(' sh -c ') ? (['amidst'] as const) : [])] as const).map((moment) => ({ command, moment })),
  );
}

/** The reason a step failed for. */
export const typeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no failure',
    (error: unknown) => (error instanceof ApplicationFailure ? error.type : error),
  );
