/** The virtual hardware of a machine: emulated, so that no host needs to offer virtualisation. */
import { networkDevice } from './networks.ts';

export interface Hardware {
  /** 1 to 9. */
  readonly number: number;
  readonly memoryMiB: number;
  readonly kernel: string;
  readonly initramfs: string;
  /** The base64 part of the public key that may log in. */
  readonly sshKey: string;
  /** In the order in which the node sees them: /dev/vda, /dev/vdb, ... */
  readonly disks: readonly Disk[];
  /** File that takes what the kernel prints. */
  readonly console: string;
}

export interface Disk {
  readonly file: string;
  readonly readOnly?: boolean;
  readonly logicalBlockSizeBytes?: number;
}

/** Enough for translated code; QEMU's default of 1 GiB would count on top of the machine's memory. */
const TRANSLATION_CACHE_MIB = 256;

const KERNEL_OPTIONS = [
  'console=ttyS0',
  'quiet',
  'panic=1',
  'random.trust_cpu=on',
  // Half of the time to boot; what they protect from and test is not in the lab.
  'mitigations=off',
  'cryptomgr.notests',
  'pci=noacpi',
  // Programs at addresses that change are translated anew each time they start. It, and the rest below, make a start three to five times as fast.
  'norandmaps',
  'init_on_alloc=0',
  'lsm=',
  'audit=0',
  'nowatchdog',
  // Each change of a mapped device waits for a grace period.
  'rcupdate.rcu_expedited=1',
];

/** Arguments of qemu-system-x86_64, which must run inside the lab's network namespace. */
export function qemuArguments(hardware: Hardware): string[] {
  const { number, memoryMiB, kernel, initramfs, sshKey, disks, console } = hardware;
  const commandLine = [...KERNEL_OPTIONS, `rehome.node=${number}`, `rehome.key=${sshKey}`].join(' ');
  return [
    ...['-name', `n${number}`, '-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...['-machine', 'pc', '-accel', `tcg,tb-size=${TRANSLATION_CACHE_MIB}`],
    // The oldest processor that Temporal's native module runs on; newer ones cost more to emulate. One: two wait for each other, whenever translated
    // code or addresses change, and that means for threads which a host with fewer processors than the nodes have together has put aside.
    ...['-cpu', 'Nehalem,+rdrand', '-smp', '1', '-m', String(memoryMiB)],
    ...['-kernel', kernel, '-initrd', initramfs, '-append', commandLine, '-serial', `file:${console}`],
    ...disks.flatMap(diskArguments),
    ...networkArguments('storage', number),
    ...networkArguments('management', number),
    ...['-device', 'virtio-rng-pci'],
  ];
}

/** `unsafe`: the host need not write to its disks what a machine calls synced. A killed machine loses nothing by that, a crashed host the lab. */
function diskArguments({ file, readOnly, logicalBlockSizeBytes = 512 }: Disk, index: number): string[] {
  const access = readOnly ? 'read-only=on' : 'discard=unmap';
  const backend = `driver=raw,node-name=disk${index},file.driver=file,file.filename=${file.replaceAll(',', ',,')},cache.no-flush=on,${access}`;
  const blockSize = `logical_block_size=${logicalBlockSizeBytes},physical_block_size=${Math.max(logicalBlockSizeBytes, 512)}`;
  return ['-blockdev', backend, '-device', `virtio-blk-pci,drive=disk${index},write-cache=on,${blockSize}`];
}

function networkArguments(network: 'storage' | 'management', number: number): string[] {
  const mac = `52:54:00:${network === 'storage' ? '77' : '78'}:00:0${number}`;
  const tap = `tap,id=${network},ifname=${networkDevice(network, number)},script=no,downscript=no`;
  // romfile=: nobody boots from the network, and loading the card's program takes time.
  return ['-netdev', tap, '-device', `virtio-net-pci,netdev=${network},mac=${mac},romfile=`];
}
