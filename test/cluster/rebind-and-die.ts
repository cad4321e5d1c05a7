/** A process of its own that begins a rebind and is killed in its midst: KUBECONFIG VOLUME STEP. */
import type { RebindStep } from '../../core/domain/rebind.ts';
import { KubeClient } from '../../system/kube/client.ts';
import { loadKubeConfig } from '../../system/kube/connection.ts';
import { killAfter, rebind } from './rebind-world.ts';

const [kubeconfig, volume, step] = process.argv.slice(2);
const client = new KubeClient(loadKubeConfig(kubeconfig!), 'rehome-test');
await rebind(client, volume!, { reached: killAfter(step as RebindStep['kind']) });
