/**
 * Answers the API server's question, before it creates a pod that uses claims, whether the pod is to be changed.
 *
 * A pod whose volume is about to leave gets a scheduling gate; one whose PersistentVolume says nothing of nodes is told where its volume lies. Nothing is
 * ever refused: whatever goes wrong, the pod is created as it is, and the migration of its volume waits for it.
 */
import { z } from 'zod';
import { affinityFor, judgePod } from '../activities/cluster/pod-admission.ts';
import type { StayJudge } from '../activities/cluster/stay.ts';
import type { ClusterStores } from '../activities/cluster/stores.ts';
import { SCHEDULING_GATE } from '../core/contracts/names.ts';
import type { KubeClient } from '../system/kube/client.ts';
import type { Pod } from '../system/kube/resources.ts';

export interface PodAdmissionDependencies {
  readonly kube: KubeClient;
  readonly stores: ClusterStores;
  readonly whyStays: StayJudge;
  /** False beside a live HwameiStor: pods are created as they are then. */
  readonly isActive: () => boolean;
  readonly logger: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

const API_VERSION = 'admission.k8s.io/v1';

/** Of admission.k8s.io/v1 AdmissionReview what is read here. */
const reviewSchema = z.object({
  request: z.object({
    uid: z.string(),
    namespace: z.string(),
    operation: z.string(),
    object: z.object({
      metadata: z.object({ name: z.string().optional(), generateName: z.string().optional() }),
      spec: z.looseObject({
        nodeName: z.string().optional(),
        volumes: z.array(z.looseObject({ persistentVolumeClaim: z.object({ claimName: z.string() }).optional() })).optional(),
        schedulingGates: z.array(z.object({ name: z.string() })).optional(),
        affinity: z.looseObject({}).optional(),
      }),
    }),
  }),
});
type Request = z.infer<typeof reviewSchema>['request'];

interface PatchOperation {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

/** @param body an AdmissionReview. @returns an AdmissionReview. @throws where it is none. */
export async function reviewPod(deps: PodAdmissionDependencies, body: unknown): Promise<object> {
  const { request } = reviewSchema.parse(body);
  const operations = await operationsFor(deps, request);
  const patch = Buffer.from(JSON.stringify(operations)).toString('base64');
  const changed = operations.length > 0 && { patchType: 'JSONPatch', patch };
  return { apiVersion: API_VERSION, kind: 'AdmissionReview', response: { uid: request.uid, allowed: true, ...changed } };
}

async function operationsFor(
  deps: PodAdmissionDependencies,
  { namespace, operation, object }: Request,
): Promise<readonly PatchOperation[]> {
  const { metadata, spec } = object;
  const claims = (spec.volumes ?? []).flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []);
  // One that names its node is not scheduled by anybody.
  if (!deps.isActive() || operation !== 'CREATE' || spec.nodeName || claims.length === 0) return [];
  const pod = metadata.name ?? metadata.generateName;
  try {
    const admission = await judgePod(deps, namespace, claims);
    if (admission.waitsFor.length > 0) {
      deps.logger.info({ namespace, pod, waitsFor: admission.waitsFor }, 'a new pod waits for its volumes');
      const gates = (spec.schedulingGates ?? []).filter(({ name }) => name !== SCHEDULING_GATE);
      return [{ op: 'add', path: '/spec/schedulingGates', value: [...gates, { name: SCHEDULING_GATE }] }];
    }
    const affinity = affinityFor(spec.affinity as NonNullable<Pod['spec']>['affinity'], admission);
    return affinity ? [{ op: 'add', path: '/spec/affinity', value: affinity }] : [];
  } catch (error) {
    deps.logger.warn({ error, namespace, pod }, 'a new pod could not be judged, and is created as it is');
    return [];
  }
}
