/** One look at what stands on this node: LVM's report, and DRBD's resources. */
import type { StorageFacts } from '../core/domain/storage-node-report.ts';
import { createDrbd84 } from '../system/drbd/drbd84.ts';
import { parseProcDrbd } from '../system/drbd/proc-drbd.ts';
import type { Host } from '../system/host.ts';
import { readFullReport } from '../system/lvm/full-report.ts';

export async function readStorageFacts(host: Host): Promise<StorageFacts> {
  const [report, replicatedVolumes] = await Promise.all([readFullReport(host), readResources(host)]);
  return { ...report, replicatedVolumes };
}

/** None where the module is not loaded: looking must not load it. */
async function readResources(host: Host): Promise<StorageFacts['replicatedVolumes']> {
  const text = await host.readText('/proc/drbd');
  if (text === undefined) return [];
  const { version, devices } = parseProcDrbd(text);
  if (!version.startsWith('8.4.') || devices.size === 0) return [];
  const resources = await createDrbd84(host).observe();
  return resources.flatMap(({ resource, state }) => (state ? [{ resource, role: state.role, disk: state.disk }] : []));
}
