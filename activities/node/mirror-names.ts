/**
 * Names on a node of what a mirror is made of. None can be that of a volume of the cluster: an object of Kubernetes has no underscore in its name.
 */
import { devicePath, logicalVolumeDeviceName } from '../../system/device-mapper/devices.ts';

export interface MirrorNames {
  /** DRBD's resource. */
  readonly resource: string;
  /** The logical volume for DRBD's metadata, beside the one that is mirrored. */
  readonly metadataVolume: string;
  readonly metadataPath: string;
  /** The device mapper's device of the volume itself, which everybody uses. */
  readonly device: string;
  readonly devicePath: string;
  /** On the source: the device beneath the mirror, with the volume's own table. */
  readonly backDevice: string;
  readonly backPath: string;
}

const RESOURCE_SUFFIX = '_rehome';

/** DRBD's resource is one of ours. */
export const isMirrorResource = (resource: string): boolean => resource.endsWith(RESOURCE_SUFFIX);

export function mirrorNames(pool: string, volume: string): MirrorNames {
  const metadataVolume = `${volume}_rehome_metadata`;
  const device = logicalVolumeDeviceName(pool, volume);
  const backDevice = `${device}_rehome_back`;
  return {
    resource: `${volume}${RESOURCE_SUFFIX}`,
    metadataVolume,
    metadataPath: devicePath(logicalVolumeDeviceName(pool, metadataVolume)),
    device,
    devicePath: devicePath(device),
    backDevice,
    backPath: devicePath(backDevice),
  };
}
