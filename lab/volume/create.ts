/** Makes a volume as HwameiStor would: a logical volume on a node, and the objects that describe it. */

export interface VolumeRequest {
  /** Of the logical volume, LocalVolume, PersistentVolume and PersistentVolumeClaim alike. */
  readonly name: string;
  readonly node: string;
  /** As Kubernetes writes quantities: `256Mi`. Rounded up to 4 MiB. */
  readonly size: string;
  /** Default `ext4`. `block` is a raw device: the claim's volumeMode is Block. */
  readonly fileSystem?: 'ext4' | 'xfs' | 'block';
  /** The pod whose claims move together: its volumes share one LocalVolumeGroup. */
  readonly group?: string;
  /** Default `default`. */
  readonly namespace?: string;
  /** Default `hostname`. `none` makes a PersistentVolume that any node may use, as HwameiStor does. */
  readonly affinity?: 'hostname' | 'topology' | 'none';
}
