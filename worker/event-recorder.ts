/** How either program tells Events: in its own name, and with a word in its log where one could not be told. */
import { hostname } from 'node:os';
import type { KubeClient } from '../system/kube/client.ts';
import { EventRecorder } from '../system/kube/events.ts';
import type { Logger } from './logging.ts';

export function createEventRecorder(client: KubeClient, logger: Logger, program: 'agent' | 'controller'): EventRecorder {
  return new EventRecorder({
    client,
    reportingController: `rehome.io/${program}`,
    reportingInstance: hostname(),
    onError: (error) => logger.warn({ error }, 'an Event could not be told'),
  });
}
