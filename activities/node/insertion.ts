/** The table swap that puts a mirror beneath a volume, or takes it out again, while whoever has the volume open keeps it. */
import type { WriteCounters } from '../../core/contracts/migration.ts';
import { parseBlockStatistics, statisticsPath } from '../../system/block-device.ts';
import { CommandError } from '../../system/command.ts';
import { clearInactiveTable, loadTable, resume, swapTable } from '../../system/device-mapper/change-device.ts';
import { type MappedDevice, sectorsOf, type TableLine } from '../../system/device-mapper/devices.ts';
import { mirrorDeviceNumber } from '../../system/drbd/mirror-driver.ts';
import { failure } from './failure.ts';
import { leadsThroughMirror, lookAround, type MirrorStep, type NodeVolume } from './mirror-step.ts';
import type { WriteBase } from './mirror-tags.ts';

/** A device that is suspended anew each time it is resumed is in somebody else's hands. */
const SETTLE_ATTEMPTS = 5;

/**
 * Undoes a swap that was broken off: the loaded table goes, and I/O passes again through the table from before. @returns what stands when a look has
 * shown that it does. @throws MirrorNotReady
 */
export async function settleDevice(step: MirrorStep, found: NodeVolume): Promise<NodeVolume> {
  let settled = found;
  for (let attempts = 0; ; attempts += 1) {
    const { device } = settled;
    if (!device || !(device.suspended || device.inactiveTable)) return settled;
    if (attempts === SETTLE_ATTEMPTS) throw failure('MirrorNotReady', `${device.name} does not stay resumed: somebody else suspends it`);
    await clearInactiveTable(step.host, device.name);
    if (device.suspended) await resume(step.host, device.name);
    settled = await lookAround(step);
  }
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
    if (error instanceof CommandError && error.timedOut) await settleLate(step);
    throw error;
  }
}

const LATE_LOOKS = 6;
const LATE_LOOK_MILLISECONDS = 500;

/** A program that was killed at its limit may still end its work in the kernel, and what it suspends then nobody else would resume. */
async function settleLate(step: MirrorStep): Promise<void> {
  const attempt = step.deps.attempt();
  for (let look = 1; look <= LATE_LOOKS; look += 1) {
    await attempt.sleep(LATE_LOOK_MILLISECONDS);
    await settleDevice(step, await lookAround(step));
  }
}

const parse = (text: string | undefined): WriteCounters => parseBlockStatistics(text ?? '');
