/** Where HwameiStor's objects live. All are cluster-scoped and have a status of their own. */
import { API_GROUP, API_VERSION } from '../../core/contracts/names.ts';
import {
  KINDS,
  type Kind,
  type LocalStorageNode,
  type LocalVolume,
  type LocalVolumeGroup,
  type LocalVolumeMigrate,
  type LocalVolumeReplica,
} from '../../core/contracts/objects/index.ts';
import type { KubeObject, Resource } from './resources.ts';

function hwameistor<T extends KubeObject>(kind: Kind): Resource<T> {
  return { group: API_GROUP, version: API_VERSION, kind, plural: KINDS[kind].plural, namespaced: false };
}

export const localStorageNodes = hwameistor<LocalStorageNode>('LocalStorageNode');
export const localVolumes = hwameistor<LocalVolume>('LocalVolume');
export const localVolumeReplicas = hwameistor<LocalVolumeReplica>('LocalVolumeReplica');
export const localVolumeGroups = hwameistor<LocalVolumeGroup>('LocalVolumeGroup');
export const localVolumeMigrates = hwameistor<LocalVolumeMigrate>('LocalVolumeMigrate');
