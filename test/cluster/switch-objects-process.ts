/** `switchObjects` in a process of its own that dies behind one of its steps: KUBECONFIG STEP REQUEST (JSON). */
import { switchObjects } from '../../activities/cluster/switch-objects.ts';
import { KubeClient } from '../../system/kube/client.ts';
import { loadKubeConfig } from '../../system/kube/connection.ts';
import { ClusterWatchers } from '../../worker/controller/watchers.ts';
import { faultPoints } from '../../worker/faults.ts';
import { createLogger } from '../../worker/logging.ts';
import { NAMESPACE } from './migration-world.ts';

const [kubeconfig = '', step = '', request = ''] = process.argv.slice(2);
const kube = new KubeClient(loadKubeConfig(kubeconfig), 'rehome-test');
const watchers = new ClusterWatchers({ kube, namespace: NAMESPACE, logger: createLogger('test', 'fatal') });
watchers.start();
await watchers.waitForSync(20);
const reachFaultPoint = faultPoints([{ moment: 'after', step: `switchObjects.${step}` }]);
await switchObjects({ kube, stores: watchers.stores, events: { tell: async () => undefined }, reachFaultPoint })(JSON.parse(request));
throw new Error(`went past ${step}`);
