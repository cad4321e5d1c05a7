import { describe, expect, test } from 'vitest';
import { type FakeCluster, mirror } from './fake-cluster.ts';
import { newCluster, typeOf } from './scenario.ts';

/** The range of ports in these tests is 7000 to 7001. */
const [FIRST, LAST] = [7000, 7001];

const allocate = (cluster: FakeCluster, wanted = mirror) => cluster.agent(cluster.n1).allocateEndpoint({ mirror: wanted, role: 'source' });

/** Somebody who has nothing to do with mirrors has them. @param table of IPv4, or of IPv6: there a program that listens at every address stands. */
function listens({ n1 }: FakeCluster, table: '/proc/net/tcp' | '/proc/net/tcp6', ...ports: readonly number[]): void {
  const everywhere = '0'.repeat(table === '/proc/net/tcp' ? 8 : 32);
  const lines = ports.map((port) => `   0: ${everywhere}:${port.toString(16).toUpperCase()} ${everywhere}:0000 0A 00000000:00000000\n`);
  n1.shown.set(table, `  sl  local_address rem_address   st\n${lines.join('')}`);
}

describe("the port of a mirror's end", () => {
  test.each(['/proc/net/tcp', '/proc/net/tcp6'] as const)('is none that somebody else listens on, as %s shows', async (table) => {
    const cluster = newCluster((changed) => listens(changed, table, FIRST));
    expect(await allocate(cluster)).toMatchObject({ port: LAST });
  });

  test('is kept by the same pairing, and another one with the next', async () => {
    const cluster = newCluster();
    expect(await allocate(cluster)).toMatchObject({ port: FIRST });
    cluster.scheduledAt += 1;
    expect(await allocate(cluster)).toMatchObject({ port: FIRST });
    const next = { ...mirror, pairing: 2 };
    cluster.prepare(next);
    cluster.scheduledAt += 1;
    expect(await allocate(cluster, next)).toMatchObject({ port: LAST });
  });

  test('where all of the range are taken is asked for in vain, with that reason', async () => {
    const cluster = newCluster((changed) => listens(changed, '/proc/net/tcp', FIRST, LAST));
    expect(await typeOf(allocate(cluster))).toBe('NoFreePort');
    expect(cluster.n1.snapshot()).toEqual(newCluster().n1.snapshot());
  });
});
