/** What the kubelet reads of Kubernetes' objects, as JSON has them (times are strings). */

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp: string;
  /** When it is to be gone: for a pod, the time of the request and its grace period. */
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly { readonly kind: string; readonly name: string }[];
}

export interface KeyToPath {
  readonly key: string;
  readonly path: string;
}

export interface ProjectedSource {
  readonly serviceAccountToken?: { readonly path: string; readonly expirationSeconds?: number; readonly audience?: string };
  readonly configMap?: { readonly name: string; readonly items?: readonly KeyToPath[]; readonly optional?: boolean };
  readonly secret?: { readonly name: string; readonly items?: readonly KeyToPath[]; readonly optional?: boolean };
  readonly downwardAPI?: { readonly items: readonly { readonly path: string; readonly fieldRef: { readonly fieldPath: string } }[] };
}

export interface Volume {
  readonly name: string;
  readonly persistentVolumeClaim?: { readonly claimName: string };
  readonly emptyDir?: object;
  readonly hostPath?: { readonly path: string; readonly type?: string };
  readonly secret?: { readonly secretName: string; readonly items?: readonly KeyToPath[]; readonly optional?: boolean };
  readonly configMap?: { readonly name: string; readonly items?: readonly KeyToPath[]; readonly optional?: boolean };
  readonly projected?: { readonly sources: readonly ProjectedSource[] };
  readonly downwardAPI?: ProjectedSource['downwardAPI'];
}

export interface EnvironmentVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly secretKeyRef?: { readonly name: string; readonly key: string };
    readonly configMapKeyRef?: { readonly name: string; readonly key: string };
  };
}

export interface EnvironmentSource {
  readonly prefix?: string;
  readonly secretRef?: { readonly name: string; readonly optional?: boolean };
  readonly configMapRef?: { readonly name: string; readonly optional?: boolean };
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly workingDir?: string;
  readonly env?: readonly EnvironmentVariable[];
  readonly envFrom?: readonly EnvironmentSource[];
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly subPath?: string;
    readonly subPathExpr?: string;
    readonly readOnly?: boolean;
  }[];
  readonly volumeDevices?: readonly { readonly name: string; readonly devicePath: string }[];
  readonly securityContext?: { readonly privileged?: boolean };
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
  readonly lastHeartbeatTime?: string;
}

export interface ContainerStatus {
  readonly name: string;
  readonly image: string;
  readonly imageID: string;
  readonly ready: boolean;
  readonly started: boolean;
  readonly restartCount: number;
  readonly state: object;
  readonly containerID?: string;
}

export interface PodStatus {
  readonly phase?: string;
  readonly reason?: string;
  readonly conditions?: readonly Condition[];
  readonly hostIP?: string;
  readonly podIP?: string;
  readonly startTime?: string;
  readonly containerStatuses?: readonly ContainerStatus[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
}

export interface Pod {
  readonly metadata: Metadata;
  readonly spec: {
    readonly nodeName?: string;
    readonly serviceAccountName?: string;
    readonly restartPolicy: 'Always' | 'OnFailure' | 'Never';
    readonly hostNetwork?: boolean;
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
    readonly volumes?: readonly Volume[];
  };
  readonly status: PodStatus;
}

export interface PersistentVolumeClaim {
  readonly metadata: Metadata;
  readonly spec: { readonly volumeName?: string };
  readonly status?: { readonly phase?: string };
}

export interface PersistentVolume {
  readonly metadata: Metadata;
  readonly spec: {
    readonly csi?: { readonly driver: string; readonly volumeHandle: string; readonly fsType?: string };
    readonly volumeMode?: 'Filesystem' | 'Block';
    readonly claimRef?: { readonly uid?: string };
  };
}

export interface VolumeAttachment {
  readonly metadata: Metadata;
  readonly spec: { readonly attacher: string; readonly nodeName: string; readonly source: { readonly persistentVolumeName?: string } };
  readonly status?: { readonly attached?: boolean; readonly attachError?: { readonly message?: string } };
}

export interface Node {
  readonly metadata: Metadata;
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly volumesInUse?: readonly string[];
    readonly volumesAttached?: readonly { readonly name: string }[];
  };
}

export interface LocalVolumeReplica {
  readonly metadata: Metadata;
  readonly spec: { readonly volumeName: string; readonly nodeName: string; readonly poolName: string };
  readonly status?: { readonly state?: string; readonly devPath?: string };
}

/** Of secrets and config maps: secrets' values are base64. */
export interface KeyedData {
  readonly data?: Readonly<Record<string, string>>;
  readonly binaryData?: Readonly<Record<string, string>>;
}

export const CSI_DRIVER = 'lvm.hwameistor.io';

/** The name by which the attach-detach controller and `node.status.volumesInUse` know a CSI volume. */
export function uniqueVolumeName(volumeHandle: string): string {
  return `kubernetes.io/csi/${CSI_DRIVER}^${volumeHandle}`;
}

export function podPath({ metadata }: Pod): string {
  return `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`;
}
