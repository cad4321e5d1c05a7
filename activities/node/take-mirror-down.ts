/** Takes a mirror out of the kernel on this node, before its point of no return: the volume is as it was, whoever has it open. */
import { removeDevice } from '../../system/device-mapper/change-device.ts';
import { replaceTable, settleDevice } from './insertion.ts';
import { leadsThroughMirror, type MirrorStep, type NodeVolume, pairOf, requireOwnDisk } from './mirror-step.ts';

/** The metadata volume stays: its tags name what there is to take down, so it goes last. */
export async function takeMirrorDown(step: MirrorStep, found: NodeVolume): Promise<void> {
  const { host, drbd, names, role } = step;
  const { resource, metadata } = found;
  if (role === 'source') {
    requireOwnDisk(found);
    // First of all: writes that wait for a dead peer come free, and the table swap needs them to end.
    if (resource && metadata?.tags.peerPort !== undefined) await drbd.disconnect(pairOf(step, metadata.tags));
    const { device, back } = await settleDevice(step, found);
    if (device && back && leadsThroughMirror(device, resource?.minor)) await replaceTable(step, device, back.table);
  }
  if (resource) await drbd.down(resource.resource);
  if (role === 'source' && found.back) await removeDevice(host, names.backDevice);
}
