import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { localVolumeMigrateSchema, localVolumeReplicaSchema, localVolumeSchema } from '../../core/contracts/objects/index.ts';
import type { KubeClient, NewObject } from '../../system/kube/client.ts';
import { KubeError } from '../../system/kube/errors.ts';
import { localVolumeMigrates, localVolumeReplicas, localVolumes } from '../../system/kube/hwameistor-resources.ts';
import type { KubeObject, Resource } from '../../system/kube/resources.ts';
import { type Cluster, startCluster } from './cluster.ts';
import { hostileName, hostileNumber, migrateSpec } from './hostile-objects.ts';

let cluster: Cluster;
let admin: KubeClient;
beforeAll(async () => {
  cluster = await startCluster();
  admin = cluster.client;
});
afterAll(() => cluster?.stop());

/** Nothing is stored. @returns why it was refused; undefined: it was not. */
async function refusal<T extends KubeObject>(resource: Resource<T>, name: string, spec: unknown): Promise<string | undefined> {
  try {
    await admin.create(resource, { metadata: { name }, spec } as unknown as NewObject<T>, { dryRun: true });
    return undefined;
  } catch (error) {
    // An answer of 500 would be a fault of ours: a rule that the API server cannot work out.
    expect(error).toBeInstanceOf(KubeError);
    expect([400, 422]).toContain((error as KubeError).status);
    return String(error);
  }
}

/** As the API server takes it: what is null is not there. */
const withoutNulls = (spec: object): object => Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== null));

function isAccepted(schema: z.ZodType, kind: string, spec: object): boolean {
  const metadata = { name: 'fuzz', uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' };
  return schema.safeParse({ apiVersion: 'hwameistor.io/v1alpha1', kind, metadata, spec: withoutNulls(spec) }).success;
}

async function judgeAlike<T extends KubeObject>(
  resource: Resource<T>,
  schema: z.ZodType,
  specs: fc.Arbitrary<Record<string, unknown>>,
): Promise<void> {
  const verdicts = { accepted: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(specs, { minLength: 20, maxLength: 40 }), async (several) => {
      await Promise.all(
        several.map(async (spec) => {
          const refused = await refusal(resource, 'fuzz', spec);
          expect(refused === undefined, `${JSON.stringify(spec)}: ${refused}`).toBe(isAccepted(schema, resource.kind, spec));
          verdicts[refused === undefined ? 'accepted' : 'refused'] += 1;
        }),
      );
    }),
    { numRuns: 10, endOnFailure: true },
  );
  console.log(`${resource.kind}: ${JSON.stringify(verdicts)}`);
  expect(Math.min(verdicts.accepted, verdicts.refused)).toBeGreaterThan(0);
}

describe('the API server refuses what the schema refuses, and nothing else', { timeout: 120_000 }, () => {
  test('of a LocalVolumeMigrate', () =>
    judgeAlike(localVolumeMigrates, localVolumeMigrateSchema, migrateSpec(['data', 'data-0', 'pvc-1.2'], ['n1', 'n2', 'n3'])));

  const capacity = { poolName: 'LocalStorage_PoolHDD', requiredCapacityBytes: 4_194_304, replicaNumber: 1 };
  const wrongIn = (right: Record<string, unknown>, wrong: Readonly<Record<string, fc.Arbitrary<unknown>>>) =>
    fc
      .tuple(fc.record(wrong), fc.subarray(Object.keys(wrong)))
      .map(([all, chosen]) => ({ ...right, ...Object.fromEntries(chosen.map((key) => [key, all[key]])) }));

  test('of a LocalVolume', () =>
    judgeAlike(
      localVolumes,
      localVolumeSchema,
      wrongIn(capacity, { poolName: hostileName, requiredCapacityBytes: hostileNumber, replicaNumber: hostileNumber }),
    ));

  test('of a LocalVolumeReplica', () =>
    judgeAlike(
      localVolumeReplicas,
      localVolumeReplicaSchema,
      wrongIn(
        { ...capacity, volumeName: 'data', nodeName: 'n1' },
        { poolName: hostileName, requiredCapacityBytes: hostileNumber, volumeName: hostileName, nodeName: hostileName },
      ),
    ));
});

test('a LocalVolume has no size below one extent, and no name that LVM does not take', { timeout: 120_000 }, async () => {
  const spec = { poolName: 'LocalStorage_PoolHDD', replicaNumber: 1 };
  await fc.assert(
    fc.asyncProperty(hostileName, hostileNumber, async (name, requiredCapacityBytes) => {
      if (/^\.{1,2}$|[/%]/.test(name) || name === '') return;
      if (await refusal(localVolumes, name, { ...spec, requiredCapacityBytes })) return;
      expect(requiredCapacityBytes).toBeGreaterThanOrEqual(4_194_304);
      expect(name).toMatch(/^(?!snapshot|pvmove)[a-z0-9]([a-z0-9.-]{0,125}[a-z0-9])?$/);
    }),
    { numRuns: 150, endOnFailure: true },
  );
});
