/**
 * Volumes that DRBD keeps on two nodes, made as HwameiStor makes them: resource, port and minor, metadata at the end of each logical volume, the device
 * by a name beside the pool's. By the commands of DRBD 8.4, the kernel's own.
 */
import type { Machine } from '../machines/index.ts';
import { waitFor } from '../wait.ts';
import { POOL, replicatedDevice, type VolumeDescription } from './objects.ts';

/** HwameiStor's: a resource's port and minor are this and its id. */
const FIRST_PORT = 43_001;

/** What drbdadm reads on both nodes. */
export function resourceFile({ name, replicas }: Pick<VolumeDescription, 'name' | 'replicas'>, resourceId: number): string {
  const port = FIRST_PORT + resourceId;
  const ends = replicas.map(
    ({ node }) => `  on ${node.name} {
    device minor ${port};
    disk /dev/${POOL}/${name};
    meta-disk internal;
    address ${node.storageAddress}:${port};
  }
`,
  );
  // Two that wait for each other meet within a second instead of ten.
  return `resource ${name} {\n  net {\n    protocol C;\n    connect-int 1;\n  }\n${ends.join('')}}\n`;
}

/** @throws where a node runs another DRBD than 8.4. */
export async function requireDrbd84(machines: readonly Machine[]): Promise<void> {
  for (const machine of machines) {
    const version = (await machine.exec('cat /sys/module/drbd/version')).stdout.trim();
    if (!version.startsWith('8.4.'))
      throw new Error(`${machine.name} runs DRBD ${version}: the lab makes volumes of two replicas with 8.4 only`);
  }
}

/** Puts DRBD on two new logical volumes; returns when both copies are whole. No node has it Primary then. */
export async function connectReplicas(volume: VolumeDescription, resourceId: number, machines: readonly Machine[]): Promise<void> {
  const { name } = volume;
  const file = resourceFileName(name);
  const [first] = machines as [Machine];
  await Promise.all(
    machines.map(async (machine) => {
      // Synced: what is only in memory when the node is killed is gone.
      await machine.exec(`cat > ${file} && sync ${file} /etc/drbd.d`, { stdin: resourceFile(volume, resourceId) });
      await machine.exec(`drbdadm create-md --force ${name} && sh /etc/replicated-volume ${name}`);
    }),
  );
  const states = async (): Promise<string> => (await first.exec(`drbdadm cstate ${name}; drbdadm dstate ${name}`)).stdout.trim();
  await waitFor(`the replicas of ${name} are connected`, async () => (await states()) === 'Connected\nInconsistent/Inconsistent');
  // Nothing was ever written to either, so there is nothing to copy.
  await first.exec(`drbdadm -- --clear-bitmap new-current-uuid ${name}`);
  await waitFor(`both replicas of ${name} are whole`, async () => (await states()) === 'Connected\nUpToDate/UpToDate');
}

/** A script for one node that ends a volume's DRBD, where it has any, and leaves its logical volume. */
export function disconnectScript(name: string): string {
  const file = resourceFileName(name);
  return `[ ! -e ${file} ] || { drbdadm down ${name} && rm -f ${file} ${replicatedDevice(name)}; }`;
}

function resourceFileName(name: string): string {
  return `/etc/drbd.d/${name}.res`;
}
