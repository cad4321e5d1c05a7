import { expect, test } from 'vitest';
import type { LocalVolumeMigrate, LocalVolumeMigrateStatus } from '../../../core/contracts/objects/index.ts';
import { isGivenUp, orphanedBecause } from '../../../core/domain/orphan.ts';

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
])('nobody looks after what is left %s', (_, because, object) => {
  expect(orphanedBecause(object, 'n2')).toBe(because);
});

test.each<[string, string, LocalVolumeMigrate]>([
  ['the source of a migration under way', 'n1', migration({ phase: 'Syncing', target })],
  ['its target', 'n2', migration({ phase: 'Syncing', target })],
  ['a migration that waits for a person', 'n2', migration({ phase: 'NeedsAttention', target })],
  ['an aborted one, which the sweep is for', 'n2', migration({ phase: 'Aborted', target })],
  ['a target that was left for another, which the sweep is for', 'n3', migration({ phase: 'Syncing', target })],
  ['one that was left before there was another', 'n2', migration({ phase: 'Reserving' })],
  ['one that was left by a migration which has ended well', 'n3', migration({ phase: 'Completed', target })],
])('what is left on %s is looked after', (_, node, object) => {
  expect(orphanedBecause(object, node)).toBeUndefined();
});

test.each<[string, string, LocalVolumeMigrateStatus, boolean]>([
  ['a node that it leaves for another', 'n3', { phase: 'Syncing', target }, true],
  ['a node that it has left for another', 'n3', { phase: 'Completed', target, pointOfNoReturn: true }, true],
  ['a node that it has left, and now looks for another', 'n3', { phase: 'Reserving' }, true],
  ['its source', 'n1', { phase: 'Reserving' }, false],
  ['its target', 'n2', { phase: 'Syncing', target }, false],
  ['any node, where it names no target past its point of no return', 'n3', { phase: 'CuttingOver', pointOfNoReturn: true }, false],
])('a migration has given up %s, or not', (_, node, status, expected) => {
  expect(isGivenUp(migration(status), node)).toBe(expected);
});
