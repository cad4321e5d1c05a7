import { afterEach, expect, test, vi } from 'vitest';
import type { ClusterStores } from '../../../activities/cluster/stores.ts';
import type { LocalVolumeMigrate } from '../../../core/contracts/objects/index.ts';
import { type EndedMigrationsDependencies, EndedMigrationsReconciler } from '../../../reconcilers/ended-migrations.ts';
import { storeOf } from '../stores.ts';

const NOW = new Date('2026-01-01T00:30:00Z');
const migrate = (volumeName: string, phase: string): LocalVolumeMigrate =>
  ({
    metadata: { name: `${volumeName}-000000`, uid: volumeName, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { volumeName, sourceNode: 'n1' },
    status: { phase, endTime: '2026-01-01T00:10:00Z' },
  }) as LocalVolumeMigrate;

let reconciler: EndedMigrationsReconciler | undefined;
afterEach(() => reconciler?.stop());

test('an ended migration that has been let go and only stays for its time costs no look through all objects', async () => {
  const localVolumes = { list: vi.fn(() => []), get: () => undefined };
  const all = [migrate('moved', 'Completed'), migrate('moving', 'Syncing')];
  const get = vi.fn((name: string) => all.find(({ metadata }) => metadata.name === name));
  const empty = storeOf<never>();
  const stores = {
    localVolumeMigrates: { list: () => all, get },
    localVolumes,
    localStorageNodes: empty,
    nodes: empty,
    pods: empty,
    persistentVolumes: empty,
    persistentVolumeClaims: empty,
    localVolumeReplicas: empty,
  } as unknown as ClusterStores;
  const problems: unknown[] = [];
  const logger = { info: vi.fn(), warn: (fields: object) => problems.push(fields) };
  const changes = { subscribe: () => () => undefined };
  const dependencies = { kube: {}, stores, changes, namespace: 'rehome-system', now: () => NOW, retentionSeconds: 3600, logger };
  reconciler = new EndedMigrationsReconciler(dependencies as unknown as EndedMigrationsDependencies);
  reconciler.start();
  await vi.waitFor(() => expect(get).toHaveBeenCalledWith('moved-000000'));
  await reconciler.stop();
  expect(localVolumes.list).not.toHaveBeenCalled();
  expect(problems).toEqual([]);
});
