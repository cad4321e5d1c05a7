/** The scripts by which pods come to be on a node. Pure: text in, text out. */

import { shellQuote } from '../machines/ssh.ts';
import { commandLine, expand, PodConfigurationError, type References, resolveEnvironment } from './environment.ts';
import type { Container, Pod } from './objects.ts';
import type { NodeVolume } from './pod-volumes.ts';

const quote = (word: string): string => shellQuote([word]);

const ROOT = '/run/kubelet';
export const RUNTIME = `${ROOT}/runtime.sh`;
const CONTROL_GROUPS = '/sys/fs/cgroup/pods';

export function podDirectory(uid: string): string {
  return `${ROOT}/pods/${uid}`;
}

export function containerLog(uid: string, container: string): string {
  return `${podDirectory(uid)}/containers/${container}/log`;
}

/** Mounts a pod's volumes and writes its files. May be run again after it was interrupted. */
export function prepareScript(pod: Pod, volumes: readonly NodeVolume[]): string {
  const { uid, namespace, name } = pod.metadata;
  const directory = podDirectory(uid);
  return [
    'set -e',
    `mkdir -p ${directory}/volumes ${directory}/claims ${directory}/devices ${directory}/containers`,
    `echo ${namespace}/${name} > ${directory}/pod`,
    ...volumes.map((volume) => volumeScript(volume, directory)),
    `: > ${directory}/prepared`,
    '',
  ].join('\n');
}

function volumeScript(volume: NodeVolume, podDirectory: string): string {
  const mountPoint = `${podDirectory}/volumes/${volume.name}`;
  if (volume.kind === 'hostPath') return hostPathScript(volume);
  if (volume.kind === 'files') {
    const files = [...volume.files].map(([path, content]) => writeFile(`${mountPoint}/${path}`, content));
    return [`mkdir -p ${mountPoint}`, ...files].join('\n');
  }

  const { volumeGroup, logicalVolume, replicated } = volume.device;
  const device = quote(`/dev/${volumeGroup}${replicated ? '-HA' : ''}/${logicalVolume}`);
  const active = [
    // There before the volume is used: whoever asks whether it is free must not be told too early.
    `echo ${quote(volume.handle)} > ${podDirectory}/claims/${volume.name}`,
    replicated ? `drbdadm primary ${quote(logicalVolume)}` : `[ -b ${device} ] || lvchange -ay ${quote(`${volumeGroup}/${logicalVolume}`)}`,
  ];
  if (volume.raw) {
    const node = `${podDirectory}/devices/${volume.name}`;
    return [...active, `rm -f ${node}`, `mknod ${node} b $((0x$(stat -L -c %t ${device}))) $((0x$(stat -L -c %T ${device})))`].join('\n');
  }
  return [
    ...active,
    `mkdir -p ${mountPoint}`,
    `grep -q ' ${mountPoint} ' /proc/mounts || mount -t ${quote(volume.fileSystem)} ${device} ${mountPoint}`,
  ].join('\n');
}

/** @see https://kubernetes.io/docs/concepts/storage/volumes/#hostpath-volume-types */
function hostPathScript({ path, type }: { readonly path: string; readonly type: string }): string {
  if (type === 'DirectoryOrCreate') return `mkdir -p ${quote(path)}`;
  if (type === 'FileOrCreate') return `[ -e ${quote(path)} ] || : > ${quote(path)}`;
  return `[ -e ${quote(path)} ] || { echo ${quote(`hostPath ${path} does not exist`)} >&2; exit 1; }`;
}

export interface ContainerStart {
  readonly container: Container;
  readonly attempt: number;
}

/** Starts containers of a prepared pod. May be run again: an attempt that was started is not started twice. */
export function startScript(
  pod: Pod,
  starts: readonly ContainerStart[],
  volumes: readonly NodeVolume[],
  references: References,
  base: Readonly<Record<string, string>>,
): string {
  const { uid } = pod.metadata;
  const lines = starts.flatMap(({ container, attempt }) => {
    const script = containerScript(pod, container, volumes, references, base);
    return [
      writeFile(`${podDirectory(uid)}/containers/${container.name}/script`, Buffer.from(script)),
      `${RUNTIME} start ${uid} ${container.name} ${attempt}`,
    ];
  });
  return ['set -e', ...lines, ''].join('\n');
}

/** Runs in the container's own mount namespace and becomes its first process. */
export function containerScript(
  pod: Pod,
  container: Container,
  volumes: readonly NodeVolume[],
  references: References,
  base: Readonly<Record<string, string>>,
): string {
  const { uid } = pod.metadata;
  const environment = resolveEnvironment(pod, container, references, { HOSTNAME: pod.metadata.name, ...base });
  const assignments = [...environment].map(([name, value]) => quote(`${name}=${value}`));
  const words = commandLine(container, environment).map(quote);
  return [
    'set -e',
    `echo $$ > ${CONTROL_GROUPS}/${uid}-${container.name}/cgroup.procs`,
    ...devicesScript(container, podDirectory(uid)),
    ...(container.volumeMounts ?? []).map((mount) => {
      const subPath = mount.subPathExpr === undefined ? mount.subPath : expand(mount.subPathExpr, environment);
      return mountScript({ ...mount, ...(subPath && { subPath }) }, volumeNamed(volumes, mount.name), podDirectory(uid));
    }),
    `cd ${quote(container.workingDir ?? '/')}`,
    `exec env -i ${[...assignments, ...words].join(' ')}`,
    '',
  ].join('\n');
}

function volumeNamed(volumes: readonly NodeVolume[], name: string): NodeVolume {
  const volume = volumes.find((candidate) => candidate.name === name);
  if (!volume) throw new PodConfigurationError(`the pod has no volume ${name}`);
  return volume;
}

function mountScript(mount: NonNullable<Container['volumeMounts']>[number], volume: NodeVolume, podDirectory: string): string {
  const root = volume.kind === 'hostPath' ? volume.path : `${podDirectory}/volumes/${volume.name}`;
  const source = quote(mount.subPath ? `${root}/${mount.subPath}` : root);
  const target = quote(mount.mountPath);
  return [
    ...(mount.subPath ? [`[ -e ${source} ] || mkdir -p ${source}`] : []),
    `if [ -d ${source} ]; then mkdir -p ${target}; else mkdir -p "$(dirname ${target})"; [ -e ${target} ] || : > ${target}; fi`,
    `mount --bind ${source} ${target}`,
    ...(mount.readOnly ? [`mount -o remount,bind,ro ${target}`] : []),
  ].join('\n');
}

/** A privileged container has the node's devices; any other has those that every program expects, and its raw volumes. */
function devicesScript({ securityContext, volumeDevices = [] }: Container, podDirectory: string): string[] {
  const raw = volumeDevices.map(({ name, devicePath }) => {
    const device = `${podDirectory}/devices/${name}`;
    const make = `mknod ${quote(devicePath)} b $((0x$(stat -c %t ${device}))) $((0x$(stat -c %T ${device})))`;
    return `mkdir -p "$(dirname ${quote(devicePath)})"; rm -f ${quote(devicePath)}; ${make}`;
  });
  if (securityContext?.privileged) return raw;
  return [
    'mount -t tmpfs -o mode=755 dev /dev',
    ...Object.entries({ null: '1 3', zero: '1 5', full: '1 7', random: '1 8', urandom: '1 9', tty: '5 0' }).map(
      ([name, numbers]) => `mknod -m 666 /dev/${name} c ${numbers}`,
    ),
    'ln -s /proc/self/fd /dev/fd; ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr; mkdir /dev/shm',
    ...raw,
  ];
}

/** As base64, so that it may hold anything. */
function writeFile(file: string, content: Buffer): string {
  const target = quote(file);
  return `mkdir -p "$(dirname ${target})"; echo ${content.toString('base64')} | base64 -d > ${target}`;
}
