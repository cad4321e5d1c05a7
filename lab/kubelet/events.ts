/** Events on pods, as `kubectl describe` shows them: each message once, until another takes its place. */
import type { ApiClient } from '../cluster/api-client.ts';
import type { Pod } from './objects.ts';

export type Reason = 'FailedMount' | 'Started' | 'BackOff' | 'Killing' | 'FailedKillPod';

export class PodEvents {
  readonly #client: ApiClient;
  readonly #node: string;
  readonly #last = new Map<string, string>();

  constructor(client: ApiClient, node: string) {
    this.#client = client;
    this.#node = node;
  }

  /** Never fails: an Event that cannot be written is only logged. */
  async record(pod: Pod, type: 'Normal' | 'Warning', reason: Reason, message: string): Promise<void> {
    const { uid, name, namespace } = pod.metadata;
    if (this.#last.get(uid) === `${reason} ${message}`) return;
    this.#last.set(uid, `${reason} ${message}`);
    console.log(`${namespace}/${name}: ${reason}: ${message}`);
    const now = new Date().toISOString();
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: `${name}.`, namespace },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name, namespace, uid },
      reason,
      message: message.slice(0, 1000),
      type,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component: 'kubelet', host: this.#node },
      reportingComponent: 'kubelet',
      reportingInstance: this.#node,
    };
    try {
      await this.#client.create(`/api/v1/namespaces/${namespace}/events`, event);
    } catch (error) {
      console.log(`an Event of ${namespace}/${name} was not written: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** Forgets what was said of pods that are gone. */
  keepOnly(uids: ReadonlySet<string>): void {
    for (const uid of this.#last.keys()) if (!uids.has(uid)) this.#last.delete(uid);
  }
}
