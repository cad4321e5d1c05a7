/**
 * Events (events.k8s.io/v1): what a person sees under `kubectl describe` and `kubectl get events`.
 *
 * The name of an Event follows from what it says, so a repeat, by whichever process and after any crash, finds the first one and counts it up
 * (its series) instead of adding another. Events are told on a best-effort basis: the truth stands in the objects' status.
 */
import { createHash } from 'node:crypto';
import type { EventReason } from '../../core/contracts/reasons.ts';
import type { KubeClient } from './client.ts';
import { isAlreadyExists } from './errors.ts';
import { microTime } from './lease.ts';
import { apiVersionOf, events, type KubeObject, type Resource } from './resources.ts';

/** The object an Event is about. */
export interface Regarding {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
}

export interface EventToTell {
  readonly regarding: Regarding;
  readonly reason: EventReason;
  /** One sentence for people; cut at 1024 bytes, which is all the API server takes. */
  readonly note: string;
  /** Warning: somebody may have to do something. Default Normal. */
  readonly type?: 'Normal' | 'Warning';
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  /** `rehome.io/controller`. */
  readonly reportingController: string;
  /** The process: its pod's name. */
  readonly reportingInstance: string;
  /** An Event that could not be told. */
  readonly onError: (error: unknown) => void;
}

/** Events of cluster-scoped objects live here: the API server refuses them anywhere else but in kube-system. */
const NAMESPACE_OF_CLUSTER_SCOPED = 'default';
const NOTE_BYTES = 1024;
/** Names of objects have 253 characters at most; a point and 16 hexadecimal digits follow the name of the object it is about. */
const NAME_CHARACTERS = 253 - 17;

/** @param object of that kind, as the API server answered it. */
export function regarding<T extends KubeObject>(resource: Resource<T>, { metadata }: KubeObject): Regarding {
  const { name, uid, namespace } = metadata;
  return { apiVersion: apiVersionOf(resource), kind: resource.kind, name, uid, ...(namespace !== undefined && { namespace }) };
}

/** The same for the same object, reason, type and note. */
export function eventName({ regarding: { name, uid }, reason, note, type }: EventToTell): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([uid, reason, type ?? 'Normal', note]))
    .digest('hex');
  return `${name.slice(0, NAME_CHARACTERS)}.${digest.slice(0, 16)}`;
}

export class EventRecorder {
  readonly #options: EventRecorderOptions;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /** Never rejects: an Event that cannot be told holds nothing up. */
  async tell(event: EventToTell): Promise<void> {
    try {
      await this.#create(event).catch(async (error: unknown) => {
        if (!isAlreadyExists(error)) throw error;
        await this.#countUp(event);
      });
    } catch (error) {
      this.#options.onError(error);
    }
  }

  async #create(event: EventToTell): Promise<void> {
    const { client, reportingController, reportingInstance } = this.#options;
    await client.create(events, {
      metadata: nameOf(event),
      eventTime: microTime(new Date()),
      reportingController,
      reportingInstance,
      // The API wants what was done beside why; a reason here names both.
      action: event.reason,
      reason: event.reason,
      type: event.type ?? 'Normal',
      regarding: event.regarding,
      note: cut(event.note),
    });
  }

  async #countUp(event: EventToTell): Promise<void> {
    const { client } = this.#options;
    const found = await client.get(events, nameOf(event));
    const series = { count: (found.series?.count ?? 1) + 1, lastObservedTime: microTime(new Date()) };
    await client.mergePatch(events, nameOf(event), { series });
  }
}

function nameOf(event: EventToTell): { readonly name: string; readonly namespace: string } {
  return { name: eventName(event), namespace: event.regarding.namespace ?? NAMESPACE_OF_CLUSTER_SCOPED };
}

function cut(note: string): string {
  const bytes = Buffer.from(note);
  // A character cut in two decodes to U+FFFD at the end.
  return bytes.length <= NOTE_BYTES
    ? note
    : bytes
        .subarray(0, NOTE_BYTES)
        .toString('utf8')
        .replace(/\uFFFD$/, '');
}
