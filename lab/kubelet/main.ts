/**
 * The process `kubelet-<node>`.
 *
 *     node lab/kubelet/main.ts NODE LAB-DIRECTORY
 *
 * Its end leaves the node's containers running; the next one finds them.
 */
import { join } from 'node:path';
import { argv } from 'node:process';
import { ApiClient } from '../cluster/api-client.ts';
import { kubeconfigFile } from '../cluster/components.ts';
import { machineNumber, openMachines } from '../machines/index.ts';
import { Kubelet } from './kubelet.ts';

const [name = '', directory = ''] = argv.slice(2);
const machine = openMachines(machineNumber(name), directory).at(-1)!;
const client = new ApiClient(kubeconfigFile({ directory }, `kubelet-${name}`));
const driverClient = new ApiClient(kubeconfigFile({ directory }, 'admin'));
const kubelet = new Kubelet({ machine, client, driverClient, holdDirectory: join(directory, 'held', name), apiserver: client.server });
await kubelet.run(new AbortController().signal);
