/** etcd, kube-apiserver, kube-controller-manager, kube-scheduler and Temporal's development server as background processes on one address. */

export interface ControlPlaneOptions {
  /** Takes data, certificates, logs and the records of the processes. */
  readonly directory: string;
  /** Default 127.0.0.1, on free ports. */
  readonly bindAddress?: string;
}

export type Component = 'etcd' | 'apiserver' | 'controller-manager' | 'scheduler' | 'temporal';

export interface ControlPlane {
  /** File, of a cluster administrator. */
  readonly kubeconfig: string;
  readonly apiserverUrl: string;
  /** Host and port. */
  readonly temporalAddress: string;
  readonly temporalUiUrl: string;
  /** Program file. */
  readonly kubectl: string;
  /** Program file of the Temporal CLI, which is the development server too. */
  readonly temporal: string;
  /** Starts a component on the data it had; returns when it answers. */
  start(name: Component): Promise<void>;
  /** SIGKILL. */
  kill(name: Component): Promise<void>;
  /** Ends all of it. The directory is the caller's to remove. */
  stop(): Promise<void>;
}

/** Brings up everything (or `components` and what they need) and returns when it answers. Several may run at once, each in its own directory. */
export async function startControlPlane(_options: ControlPlaneOptions): Promise<ControlPlane> {
  throw new Error('not implemented yet');
}
