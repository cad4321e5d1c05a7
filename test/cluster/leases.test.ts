import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { KubeClient } from '../../system/kube/client.ts';
import { LeaderElection } from '../../system/kube/leader-election.ts';
import { isLeaseHeld, LeaseHeartbeat, type WatchedLease, watchLease } from '../../system/kube/lease.ts';
import { leases } from '../../system/kube/resources.ts';
import { type Cluster, startCluster } from './cluster.ts';

const soon = { timeout: 10_000 };

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(async () => cluster?.stop());

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.stop()));
});

const watched = new Map<string, WatchedLease>();
async function isHeld(name: string): Promise<boolean> {
  const found = await cluster.client.get(leases, { name, namespace: 'default' });
  const lease = watchLease(found, watched.get(name));
  watched.set(name, lease);
  return isLeaseHeld(lease);
}

describe('leader election', () => {
  const TIMES = { durationSeconds: 3, renewDeadlineSeconds: 2, retrySeconds: 0.3 };

  /** @param story takes what happens to all candidates, in its order. */
  function candidate(identity: string, lease: string, story: string[], client: KubeClient = cluster.client): LeaderElection {
    const election = new LeaderElection({
      client,
      lease: { name: lease, namespace: 'default' },
      identity,
      onAcquired: () => story.push(`${identity} leads`),
      onLost: (reason) => story.push(`${identity} leads no more: ${reason}`),
      onError: () => undefined,
      ...TIMES,
    });
    running.push(election);
    election.start();
    return election;
  }

  test('lets exactly one of several lead, and the next one at once when it stops', async () => {
    const story: string[] = [];
    const candidates = ['a', 'b', 'c'].map((identity) => candidate(identity, 'one-of-three', story));
    await vi.waitFor(() => expect(story).toHaveLength(1), { timeout: 5000 });
    const leader = candidates.find(({ isLeader }) => isLeader)!;
    expect(candidates.filter(({ isLeader }) => isLeader)).toHaveLength(1);

    const stoppedAt = performance.now();
    await leader.stop();
    await vi.waitFor(() => expect(story).toHaveLength(3), { timeout: 5000, interval: 10 });
    expect(performance.now() - stoppedAt).toBeLessThan(2000);
    expect(story[1]).toMatch(/leads no more: stopped$/);
    expect(candidates.filter(({ isLeader }) => isLeader)).toHaveLength(1);
    const { spec } = await cluster.client.get(leases, { name: 'one-of-three', namespace: 'default' });
    expect(spec?.leaseTransitions).toBe(1);
  });

  test('lets one of many take a free Lease that all of them have seen free', async () => {
    await cluster.client.create(leases, { metadata: { name: 'seen-free', namespace: 'default' }, spec: { holderIdentity: '' } });
    const everyoneHasSeen = Promise.withResolvers<void>();
    let seen = 0;
    const find = cluster.client.find.bind(cluster.client);
    const spy = vi.spyOn(cluster.client, 'find').mockImplementation(async (...request) => {
      const found = await find(...request);
      seen += 1;
      if (seen === 10) everyoneHasSeen.resolve();
      await everyoneHasSeen.promise;
      return found;
    });
    const story: string[] = [];
    const candidates = Array.from({ length: 10 }, (_, index) => candidate(`candidate-${index}`, 'seen-free', story));
    // Each looks again after a lost race: then all have tried.
    await vi.waitFor(() => expect(seen).toBeGreaterThan(20), { timeout: 10_000 });
    spy.mockRestore();
    expect(story).toHaveLength(1);
    expect(candidates.filter(({ isLeader }) => isLeader)).toHaveLength(1);
  });

  test('takes over from a leader that cannot reach the API server, after that one has stopped leading', async () => {
    const proxy = await cluster.startProxy();
    const story: string[] = [];
    const old = candidate('old', 'takeover', story, cluster.clientBehind(proxy));
    await vi.waitFor(() => expect(old.isLeader).toBe(true), { timeout: 5000 });
    candidate('new', 'takeover', story);

    proxy.freeze();
    await vi.waitFor(() => expect(story).toContain('new leads'), { timeout: 10_000 });
    expect(story).toEqual(['old leads', 'old leads no more: not renewed for 2 s', 'new leads']);
    expect(old.isLeader).toBe(false);
  });

  test('gives way where somebody has taken the Lease', async () => {
    const story: string[] = [];
    const election = candidate('a', 'taken', story);
    await vi.waitFor(() => expect(election.isLeader).toBe(true), { timeout: 5000 });
    await cluster.client.mergePatch(leases, { name: 'taken', namespace: 'default' }, { spec: { holderIdentity: 'a person' } });
    await vi.waitFor(() => expect(story).toContain('a leads no more: the Lease is held by a person'), { timeout: 5000 });
  });

  test('that is stopped leaves a Lease that nobody holds', async () => {
    const election = candidate('a', 'free', []);
    await vi.waitFor(() => expect(election.isLeader).toBe(true), { timeout: 5000 });
    expect(await isHeld('free')).toBe(true);
    await election.stop();
    expect(await isHeld('free')).toBe(false);
  });

  test('is refused with times that would let two lead', () => {
    expect(() => new LeaderElection({ durationSeconds: 10, renewDeadlineSeconds: 10 } as never)).toThrow(
      'renewDeadlineSeconds < durationSeconds',
    );
  });
});

describe("an agent's heartbeat", () => {
  const lease = (name: string) => ({ name, namespace: 'default' });

  test('shows while it beats, survives the loss of its Lease, and ends at once when it stops', async () => {
    const errors: unknown[] = [];
    const heartbeat = new LeaseHeartbeat({
      client: cluster.client,
      lease: lease('agent-n1'),
      identity: 'n1',
      durationSeconds: 3,
      onError: (error) => errors.push(error),
    });
    running.push(heartbeat);
    heartbeat.start();
    await vi.waitFor(async () => expect(await isHeld('agent-n1')).toBe(true), soon);
    await cluster.client.delete(leases, lease('agent-n1'));
    await vi.waitFor(async () => expect(await isHeld('agent-n1')).toBe(true), { timeout: 5000 });
    await heartbeat.stop();
    expect(await isHeld('agent-n1')).toBe(false);
    expect(errors).toEqual([]);
  });

  test('that cannot be heard has run out after its duration, and shows again when it can', async () => {
    const proxy = await cluster.startProxy();
    const heartbeat = new LeaseHeartbeat({
      client: cluster.clientBehind(proxy),
      lease: lease('agent-n2'),
      identity: 'n2',
      durationSeconds: 2,
      onError: () => undefined,
    });
    running.push(heartbeat);
    heartbeat.start();
    await vi.waitFor(async () => expect(await isHeld('agent-n2')).toBe(true), soon);
    proxy.cut();
    await vi.waitFor(async () => expect(await isHeld('agent-n2')).toBe(false), { timeout: 5000 });
    proxy.heal();
    await vi.waitFor(async () => expect(await isHeld('agent-n2')).toBe(true), { timeout: 5000 });
  });
});
