/** What the node's runtime reports, see node-runtime.sh. */

export interface ContainerOnNode {
  /** 1 for the first start. */
  readonly attempt: number;
  /** Seconds since the epoch, by the node's clock. */
  readonly startedAt: number;
  /** Undefined while it runs. */
  readonly exit?: { readonly code: number; readonly at: number };
}

export interface PodOnNode {
  readonly namespace: string;
  readonly name: string;
  /** Its volumes are mounted. */
  readonly prepared: boolean;
  /** SIGTERM was sent. */
  readonly stopping: boolean;
  /** CSI volume handles by name of the pod's volume, from before the mount until after the unmount. */
  readonly claims: ReadonlyMap<string, string>;
  readonly containers: ReadonlyMap<string, ContainerOnNode>;
}

export interface NodeSnapshot {
  readonly bootId: string;
  /** By uid. */
  readonly pods: ReadonlyMap<string, PodOnNode>;
}

type MutablePod = PodOnNode & { readonly claims: Map<string, string>; readonly containers: Map<string, ContainerOnNode> };

/** @param lines of one block, without its `end`. A line that is not understood is an error: the report is ours. */
export function parseSnapshot(lines: readonly string[]): NodeSnapshot {
  let bootId = '';
  const pods = new Map<string, MutablePod>();
  for (const line of lines) {
    const [kind, uid = '', ...fields] = line.trim().split(' ');
    if (kind === 'boot') bootId = uid;
    else if (kind === 'pod') pods.set(uid, parsePod(fields));
    else if (kind === 'claim') pods.get(uid)?.claims.set(fields[0]!, fields[1]!);
    else if (kind === 'container') pods.get(uid)?.containers.set(fields[0]!, parseContainer(fields.slice(1)));
    else throw new Error(`not a line of a node's report: ${line}`);
  }
  return { bootId, pods };
}

function parsePod([path = '', ...flags]: readonly string[]): MutablePod {
  const [namespace = '', name = ''] = path.split('/');
  return {
    namespace,
    name,
    prepared: flags.includes('prepared'),
    stopping: flags.includes('stopping'),
    claims: new Map(),
    containers: new Map(),
  };
}

function parseContainer([attempt, startedAt, code, at]: readonly string[]): ContainerOnNode {
  const started = { attempt: Number(attempt), startedAt: Number(startedAt) };
  return code === undefined ? started : { ...started, exit: { code: Number(code), at: Number(at) } };
}
