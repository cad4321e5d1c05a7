/** A LocalVolume says which nodes hold it: in its configuration, where it may lie, and in its list of replicas. */
import type { MirrorEnd } from '../../core/contracts/migration.ts';
import type { LocalVolume, LocalVolumeStatus } from '../../core/contracts/objects/index.ts';
import type { KubeClient, MergePatch, PatchOptions } from '../../system/kube/client.ts';
import { isConflict } from '../../system/kube/errors.ts';
import { localVolumes } from '../../system/kube/hwameistor-resources.ts';

export interface VolumeMove {
  readonly sourceNode: string;
  readonly target: MirrorEnd;
  /** The LocalVolumeReplica on the target. */
  readonly replica: string;
  /** LocalVolumeReplicas on the source. */
  readonly leftReplicas: readonly string[];
}

type Spec = LocalVolume['spec'];

/** Agents and people write the same object. */
const MAXIMUM_ATTEMPTS = 10;

/** A LocalVolume that is gone is left gone. */
export async function moveLocalVolume(kube: KubeClient, volume: string, move: VolumeMove): Promise<void> {
  await swap(
    kube,
    volume,
    ({ spec }) => specAfter(spec, move),
    (spec) => ({ spec }),
    {},
  );
  await swap(
    kube,
    volume,
    ({ status }) => statusAfter(status, move),
    (status) => ({ status }),
    { subresource: 'status' },
  );
}

/** What changes in the spec; undefined: it says the target already. */
function specAfter({ config, accessibility }: Spec, { sourceNode, target }: VolumeMove): MergePatch<Spec> | undefined {
  const configured = config?.replicas.some(({ hostname }) => hostname === sourceNode);
  const listed = accessibility?.nodes?.includes(sourceNode);
  if (!configured && !listed) return undefined;
  return {
    ...(config &&
      configured && {
        config: {
          version: config.version + 1,
          replicas: config.replicas
            .filter(({ hostname }) => hostname !== target.node)
            .map((replica) =>
              replica.hostname === sourceNode ? { ...replica, hostname: target.node, ip: target.storageAddress } : replica,
            ),
        },
      }),
    ...(accessibility?.nodes &&
      listed && { accessibility: { nodes: [...new Set(accessibility.nodes.map((node) => (node === sourceNode ? target.node : node)))] } }),
  };
}

/** What changes in the status; undefined: it says the target already. A node that used the volume uses it no more: it could not have been cut over. */
function statusAfter(
  { replicas = [], publishedNode }: LocalVolumeStatus = { rawblock: false },
  { sourceNode, replica, leftReplicas }: VolumeMove,
): MergePatch<LocalVolumeStatus> | undefined {
  const after = [...replicas.filter((name) => !leftReplicas.includes(name) && name !== replica), replica];
  const same = after.length === replicas.length && replicas.includes(replica);
  if (same && publishedNode !== sourceNode) return undefined;
  return { replicas: after, ...(publishedNode === sourceNode && { publishedNode: '' }) };
}

/** Reads, computes and writes with what was read as the condition, again after a lost race. */
async function swap<T>(
  kube: KubeClient,
  name: string,
  change: (found: LocalVolume) => T | undefined,
  patchOf: (changed: T) => MergePatch<LocalVolume>,
  options: PatchOptions,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const found = await kube.find(localVolumes, { name });
    const changed = found && change(found);
    if (!found || changed === undefined) return;
    try {
      await kube.mergePatch(
        localVolumes,
        { name },
        { metadata: { resourceVersion: found.metadata.resourceVersion }, ...patchOf(changed) },
        options,
      );
      return;
    } catch (error) {
      if (!isConflict(error) || attempt >= MAXIMUM_ATTEMPTS) throw error;
    }
  }
}
