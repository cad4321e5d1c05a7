/** The programs of the control plane, and what each is started with. */
import { join } from 'node:path';
import type { BackgroundProgram } from '../processes.ts';
import type { Programs } from './programs.ts';

export interface Ports {
  /** etcd listens on loopback, wherever the API server is. */
  readonly etcdClient: number;
  readonly etcdPeer: number;
  readonly apiserver: number;
  readonly temporal: number;
  readonly temporalUi: number;
}

export interface ControlPlaneSettings {
  /** Takes data, certificates, kubeconfigs, logs and the records of the processes. */
  readonly directory: string;
  readonly address: string;
  readonly ports: Ports;
  readonly programs: Programs;
  /**
   * What the controller manager asks of the API server at most. Default 20, its own. With ten times as much it starts seconds earlier and binds claims at
   * once, and beside emulated nodes a drain takes 8 s longer, because it then hardly rests.
   */
  readonly controllerManagerRequestsPerSecond?: number;
}

export const COMPONENTS = ['etcd', 'apiserver', 'controller-manager', 'scheduler', 'temporal'] as const;
export type Component = (typeof COMPONENTS)[number];

/** What a person searches for in Temporal's UI. All are keywords. */
const SEARCH_ATTRIBUTES = ['SourceNode', 'TargetNode', 'Volume', 'MigrationPhase', 'Trigger', 'PvcName'];

export function pkiDirectory({ directory }: { readonly directory: string }): string {
  return join(directory, 'pki');
}

export function kubeconfigFile({ directory }: { readonly directory: string }, user: string): string {
  return join(directory, 'kubeconfigs', user);
}

export function componentProgram(component: Component, settings: ControlPlaneSettings): BackgroundProgram {
  const kubernetes = (name: string, args: readonly string[]): BackgroundProgram => ({
    program: join(settings.programs.controlPlaneDirectory, name),
    args,
  });
  switch (component) {
    case 'etcd':
      return kubernetes('etcd', etcdArguments(settings));
    case 'apiserver':
      return kubernetes('kube-apiserver', apiserverArguments(settings));
    case 'controller-manager':
      return kubernetes('kube-controller-manager', controllerManagerArguments(settings));
    case 'scheduler':
      return kubernetes('kube-scheduler', [
        `--kubeconfig=${kubeconfigFile(settings, 'scheduler')}`,
        '--leader-elect=false',
        '--secure-port=0',
      ]);
    case 'temporal':
      return { program: join(settings.programs.temporalDirectory, 'temporal'), args: temporalArguments(settings) };
  }
}

function etcdArguments({ directory, ports }: ControlPlaneSettings): string[] {
  const loopback = (port: number): string => `http://127.0.0.1:${port}`;
  return [
    `--data-dir=${join(directory, 'etcd')}`,
    // A crash of the whole host loses the lab anyway.
    '--unsafe-no-fsync',
    `--listen-client-urls=${loopback(ports.etcdClient)}`,
    `--advertise-client-urls=${loopback(ports.etcdClient)}`,
    `--listen-peer-urls=${loopback(ports.etcdPeer)}`,
    `--initial-advertise-peer-urls=${loopback(ports.etcdPeer)}`,
    `--initial-cluster=default=${loopback(ports.etcdPeer)}`,
  ];
}

function apiserverArguments(settings: ControlPlaneSettings): string[] {
  const pki = (name: string): string => join(pkiDirectory(settings), name);
  return [
    `--etcd-servers=http://127.0.0.1:${settings.ports.etcdClient}`,
    `--bind-address=${settings.address}`,
    `--advertise-address=${settings.address}`,
    `--secure-port=${settings.ports.apiserver}`,
    `--cert-dir=${pkiDirectory(settings)}`,
    `--tls-cert-file=${pki('apiserver.crt')}`,
    `--tls-private-key-file=${pki('apiserver.key')}`,
    `--client-ca-file=${pki('ca.crt')}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${pki('service-accounts.crt')}`,
    `--service-account-signing-key-file=${pki('service-accounts.key')}`,
    '--endpoint-reconciler-type=none',
  ];
}

function controllerManagerArguments(settings: ControlPlaneSettings): string[] {
  const pki = (name: string): string => join(pkiDirectory(settings), name);
  const { controllerManagerRequestsPerSecond: requests } = settings;
  return [
    `--kubeconfig=${kubeconfigFile(settings, 'controller-manager')}`,
    '--leader-elect=false',
    '--use-service-account-credentials',
    `--service-account-private-key-file=${pki('service-accounts.key')}`,
    `--root-ca-file=${pki('ca.crt')}`,
    // A killed node is noticed within half a minute; its pods stay for the five minutes of the default tolerations.
    '--node-monitor-grace-period=20s',
    '--node-monitor-period=2s',
    ...(requests === undefined ? [] : [`--kube-api-qps=${requests}`, `--kube-api-burst=${2 * requests}`]),
    '--secure-port=0',
  ];
}

/** Brings whoever calls the control plane's address to Temporal. */
export function temporalRelayProgram({ address, ports: { temporal } }: ControlPlaneSettings): BackgroundProgram {
  return { program: 'socat', args: [`TCP-LISTEN:${temporal},bind=${address},fork,reuseaddr`, `TCP:127.0.0.1:${temporal}`] };
}

/** The file in which Temporal's development server keeps everything (SQLite, which has files of the same beginning beside it). */
export const temporalDatabase = (directory: string): string => join(directory, 'temporal.db');

/** On loopback: with another address the development server's own services do not find each other. */
function temporalArguments({ directory, ports }: ControlPlaneSettings): string[] {
  return [
    'server',
    'start-dev',
    '--ip=127.0.0.1',
    `--port=${ports.temporal}`,
    `--ui-port=${ports.temporalUi}`,
    '--ui-disable-news-fetch',
    `--db-filename=${temporalDatabase(directory)}`,
    '--log-level=warn',
    // Survives the death of its process, not of the machine it runs on: that takes the lab with it.
    '--sqlite-pragma=synchronous=OFF',
    ...SEARCH_ATTRIBUTES.map((name) => `--search-attribute=${name}=Keyword`),
  ];
}
