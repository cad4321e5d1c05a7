/** The registry of a node agent's activities: requests are parsed here, and nowhere else. */
import type { NodeActivities } from '../../core/contracts/node-activities.ts';
import { discardTarget, restoreSource } from './abort.ts';
import { allocateEndpoint } from './allocate-endpoint.ts';
import { awaitSync } from './await-sync.ts';
import { dissolveMirror, markCutOver, releaseTarget, removeSource } from './cut-over.ts';
import type { NodeDependencies } from './dependencies.ts';
import { closeSource } from './detach.ts';
import { hashVolume } from './hash-volume.ts';
import { observeVolume } from './observe-volume.ts';
import { requestSchemas } from './requests.ts';
import { ensureSourceMirror } from './source-mirror.ts';
import { ensureTargetMirror } from './target-mirror.ts';
import { readTargetCounter, repairMirror, verifyMirror } from './verify-mirror.ts';

export { type Attempt, temporalAttempt } from './attempt.ts';
export type { NodeDependencies } from './dependencies.ts';
export { limitRunningSyncs } from './limit-running-syncs.ts';
export { findOrphans, type Orphan } from './orphans.ts';
export { sweepAborted, sweepGivenUp } from './sweep.ts';

export function createNodeActivities(deps: NodeDependencies): NodeActivities {
  const ofMirror = (request: unknown) => requestSchemas.mirror.parse(request).mirror;
  const ofMirrorAndRole = (request: unknown) => requestSchemas.mirrorAndRole.parse(request);
  return {
    observeVolume: async (request) => observeVolume(deps, requestSchemas.volume.parse(request)),
    allocateEndpoint: async (request) => {
      const { mirror, role } = ofMirrorAndRole(request);
      return allocateEndpoint(deps, mirror, role);
    },
    ensureTargetMirror: async (request) => {
      const { mirror, sourceEndpoint, inUse } = requestSchemas.targetMirror.parse(request);
      return ensureTargetMirror(deps, mirror, sourceEndpoint, inUse);
    },
    ensureSourceMirror: async (request) => {
      const { mirror, targetEndpoint } = requestSchemas.sourceMirror.parse(request);
      return ensureSourceMirror(deps, mirror, targetEndpoint);
    },
    awaitSync: async (request) => awaitSync(deps, ofMirror(request)),
    readTargetCounter: async (request) => {
      const { mirror, logPosition } = requestSchemas.targetCounter.parse(request);
      return readTargetCounter(deps, mirror, logPosition);
    },
    verifyMirror: async (request) => {
      const { mirror, ranges } = requestSchemas.verify.parse(request);
      return verifyMirror(deps, mirror, ranges);
    },
    repairMirror: async (request) => repairMirror(deps, ofMirror(request)),
    closeSource: async (request) => closeSource(deps, ofMirror(request)),
    markCutOver: async (request) => {
      const { mirror, role } = ofMirrorAndRole(request);
      await markCutOver(deps, mirror, role);
    },
    hashVolume: async (request) => {
      const { mirror, role } = ofMirrorAndRole(request);
      return hashVolume(deps, mirror, role);
    },
    dissolveMirror: async (request) => {
      const { mirror, role } = ofMirrorAndRole(request);
      await dissolveMirror(deps, mirror, role);
    },
    removeSource: async (request) => removeSource(deps, ofMirror(request)),
    releaseTarget: async (request) => releaseTarget(deps, ofMirror(request)),
    restoreSource: async (request) => {
      const { mirror, deleted } = requestSchemas.restore.parse(request);
      return restoreSource(deps, mirror, deleted === true);
    },
    discardTarget: async (request) => discardTarget(deps, ofMirror(request)),
  };
}
