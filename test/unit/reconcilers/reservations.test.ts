import { afterEach, describe, expect, test, vi } from 'vitest';
import { Annotation } from '../../../core/contracts/names.ts';
import type { LocalStorageNode, LocalVolumeMigrate } from '../../../core/contracts/objects/index.ts';
import { type ReservationsDependencies, ReservationsReconciler } from '../../../reconcilers/reservations.ts';
import { storeOf } from '../stores.ts';

const meta = (name: string) => ({ name, uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' });
const migrate = (phase: string) =>
  ({ metadata: meta('data-000000'), spec: { volumeName: 'data', sourceNode: 'n1' }, status: { phase } }) as LocalVolumeMigrate;
const reservation = { pool: 'hdd', bytes: 1, id: 'uid-data-000000' };
const node = {
  metadata: { ...meta('n2'), annotations: { [Annotation.reservation('data')]: JSON.stringify(reservation) } },
} as unknown as LocalStorageNode;

let reconciler: ReservationsReconciler | undefined;
afterEach(() => reconciler?.stop());

/** @returns the annotations that are written, once the API server has been asked for what decides. */
async function reconcile(known: readonly LocalVolumeMigrate[], live: readonly LocalVolumeMigrate[]): Promise<object[]> {
  const written: object[] = [];
  const kube = {
    find: async () => node,
    list: async () => [...live],
    mergePatch: async (_: unknown, { name }: { readonly name: string }, { metadata }: LocalStorageNode) =>
      void written.push({ [name]: metadata.annotations }),
  };
  const stores = { localStorageNodes: storeOf(node), localVolumeMigrates: storeOf(...known) };
  const logger = { warn: vi.fn() };
  reconciler = new ReservationsReconciler({ kube, stores, logger } as unknown as ReservationsDependencies);
  reconciler.start();
  await new Promise((resolve) => setTimeout(resolve, 20));
  return written;
}

const RELEASED = [{ n2: { [Annotation.reservation('data')]: null } }];

describe('room that is reserved', () => {
  test.each<[string, readonly LocalVolumeMigrate[], readonly LocalVolumeMigrate[], object[]]>([
    ['for a migration that was aborted before it was written is released', [migrate('Aborted')], [migrate('Aborted')], RELEASED],
    ['for a migration that is gone is released', [], [], RELEASED],
    ['for a migration of which the store has not heard yet stays', [], [migrate('Reserving')], []],
    ['for a migration that runs stays, and the API server is not asked', [migrate('Aborting')], [], []],
  ])('%s', async (_, known, live, written) => {
    expect(await reconcile(known, live)).toEqual(written);
  });
});
