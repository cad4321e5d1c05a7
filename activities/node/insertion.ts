/** The table swap that puts a mirror beneath a volume, or takes it out again, while whoever has the volume open keeps it. */
import type { WriteCounters } from '../../core/contracts/migration.ts';
import { parseBlockStatistics, statisticsPath } from '../../system/block-device.ts';
import { clearInactiveTable, loadTable, resume, swapTable } from '../../system/device-mapper/change-device.ts';
import { type MappedDevice, sectorsOf, type TableLine } from '../../system/device-mapper/devices.ts';
import { mirrorDeviceNumber } from '../../system/drbd/mirror-driver.ts';
import { failure } from './failure.ts';
import { leadsThroughMirror, lookAround, type MirrorStep, type NodeVolume } from './mirror-step.ts';
import type { WriteBase } from './mirror-tags.ts';

/** Undoes a swap that was broken off: the loaded table goes, and I/O passes again through the table from before. */
export async function settleDevice(step: MirrorStep, found: NodeVolume): Promise<NodeVolume> {
  const { device } = found;
  if (!device || !(device.suspended || device.inactiveTable)) return found;
  await clearInactiveTable(step.host, device.name);
  if (device.suspended) await resume(step.host, device.name);
  return lookAround(step);
}

/**
 * Leads the volume's device through the mirror and reads both write counters while no I/O passes: from there on they must grow alike. Where it leads
 * there already the counters are read anew, which is as good while the sync is still paused.
 */
export async function insertMirror(step: MirrorStep, device: MappedDevice | undefined, minor: number): Promise<WriteBase> {
  if (!device) throw failure('MirrorNotReady', `the volume's device ${step.names.device} does not exist`);
  const mirrorNumber = mirrorDeviceNumber(minor);
  if (!leadsThroughMirror(device, minor)) {
    const table = [{ startSector: 0, sectors: sectorsOf(device.table), target: 'linear', args: `${mirrorNumber} 0` }];
    await loadTable(step.host, device.name, table);
  }
  const read = await swapOrSettle(step, device, [statisticsPath(device.number), statisticsPath(mirrorNumber)]);
  const [volume, mirror] = read.trim().split('\n');
  return { volume: parse(volume), mirror: parse(mirror) };
}

/** Leads the volume's device past the mirror again. */
export async function replaceTable(step: MirrorStep, device: MappedDevice, table: readonly TableLine[]): Promise<void> {
  await loadTable(step.host, device.name, table);
  await swapOrSettle(step, device, []);
}

async function swapOrSettle(step: MirrorStep, device: MappedDevice, paths: readonly string[]): Promise<string> {
  try {
    return await swapTable(step.host, device.name, paths);
  } catch (error) {
    await settleDevice(step, await lookAround(step));
    throw error;
  }
}

const parse = (text: string | undefined): WriteCounters => parseBlockStatistics(text ?? '');
