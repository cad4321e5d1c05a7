import { expect, test } from 'vitest';
import type { LocalVolumeMigrate, LocalVolumeMigrateStatus } from '../../../core/contracts/objects/index.ts';
import { orphanedBecause } from '../../../core/domain/orphan.ts';

const migration = (status?: LocalVolumeMigrateStatus): LocalVolumeMigrate => ({
  apiVersion: 'hwameistor.io/v1alpha1',
  kind: 'LocalVolumeMigrate',
  metadata: { name: 'data-abc123', uid: 'uid', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { volumeName: 'data', sourceNode: 'n1', targetNodesSuggested: [], migrateAllVols: false, abort: false },
  ...(status && { status }),
});
const target = { node: 'n2', storageAddress: '10.77.0.2' };

test.each<[string, string, LocalVolumeMigrate | undefined]>([
  ['of a migration that was deleted', 'there is no such LocalVolumeMigrate any more', undefined],
  ['of a migration that has ended well', 'LocalVolumeMigrate data-abc123 is Completed', migration({ phase: 'Completed', target })],
  [
    'on a node that the migration is not about',
    'LocalVolumeMigrate data-abc123 moves data from n1 to n3',
    migration({ phase: 'Syncing', target: { ...target, node: 'n3' } }),
  ],
  [
    'on a node that was given up without being cleaned',
    'LocalVolumeMigrate data-abc123 moves data from n1 to a node not yet chosen',
    migration({ phase: 'Reserving' }),
  ],
])('nobody looks after what is left %s', (_, because, object) => {
  expect(orphanedBecause(object, 'n2')).toBe(because);
});

test.each<[string, string, LocalVolumeMigrate]>([
  ['the source of a migration under way', 'n1', migration({ phase: 'Syncing', target })],
  ['its target', 'n2', migration({ phase: 'Syncing', target })],
  ['a migration that waits for a person', 'n2', migration({ phase: 'NeedsAttention', target })],
  ['an aborted one, which the sweep is for', 'n2', migration({ phase: 'Aborted' })],
])('what is left on %s is looked after', (_, node, object) => {
  expect(orphanedBecause(object, node)).toBeUndefined();
});
