/** A node in memory behind `Host`: LVM, the device mapper and DRBD as far as the activities use them, and a crash at any command. */
import type { SectorRange } from '../../../../core/contracts/node-activities.ts';
import { CommandError, type Run } from '../../../../system/command.ts';
import { logicalVolumeDeviceName } from '../../../../system/device-mapper/devices.ts';
import type { Host } from '../../../../system/host.ts';
import { drbdmeta, drbdsetup, type FakeMetadata, type FakeResource, outOfSyncKib, peerOf, replicationOf } from './fake-drbd.ts';
import { drbdsetup9 } from './fake-drbd9.ts';
import { FakeFiles, nameOfImage } from './fake-files.ts';
import { inPercent, row } from './fake-reports.ts';

export const POOL = 'LocalStorage_PoolHDD';
export const DISK = '/dev/vda';

interface FakeThinPool {
  readonly sizeBytes: number;
  readonly dataPercent: number;
  readonly chunkBytes: number;
}

interface FakeVolume {
  readonly uuid: string;
  readonly sizeBytes: number;
  /** Of a thin one: its pool, and how much it has taken of it. */
  readonly thinPool?: string;
  dataPercent?: number;
  tags: string[];
  content: string;
  autoactivation: boolean;
  /** A disk that it lies on is missing. */
  partial?: boolean;
}

interface FakeDevice {
  readonly minor: number;
  table: string;
  loaded?: string | undefined;
  suspended: boolean;
  open: number;
  writtenSectors: number;
}

/** The agent dies: nothing of the step runs any further. */
export class Crash extends Error {}
export type CrashPoint = { readonly command: number; readonly moment: 'after' | 'amidst' };

class Refusal extends Error {
  readonly exitCode: number;
  constructor(exitCode: number, stderr: string) {
    super(stderr);
    this.exitCode = exitCode;
  }
}
/** The program ends with this exit code. */
export function refuse(exitCode: number, stderr: string): never {
  throw new Refusal(exitCode, stderr);
}

export class FakeNode {
  readonly name: string;
  readonly network: FakeNode[];
  readonly volumes = new Map<string, FakeVolume>();
  readonly devices = new Map<string, FakeDevice>();
  readonly resources = new Map<string, FakeResource>();
  readonly metadata = new Map<string, FakeMetadata>();
  readonly mirrorWrites = new Map<number, number>();
  /** The version of its module. */
  drbd: 8 | 9 = 8;
  readonly kernelLog: string[] = [];
  /** Nothing gets through to it. */
  diskIsDead = false;
  /** What somebody is writing when the next verify comes by. */
  readonly busy: SectorRange[] = [];
  readonly files = new FakeFiles();
  /** What the module calls when a mirror's state changes. */
  usermodeHelper = 'disabled';
  readonly thinPools = new Map<string, FakeThinPool>();
  /** By path in /sys. */
  readonly written = new Map<string, string>();
  /** By path in /proc. */
  readonly shown = new Map<string, string>();
  logicalBlockSizeBytes = 512;
  freeBytes = 2 ** 30;
  #created = 0;

  constructor(name: string, network: FakeNode[]) {
    this.name = name;
    this.network = network;
    network.push(this);
  }

  /** @param beforeCommand hears each command that changes something, and may crash the agent. */
  host(beforeCommand: (commandLine: string, act: (moment: 'all' | 'half') => string) => string): Host {
    const run: Run = async (program, args, options) => {
      try {
        const changes =
          !['lvs', 'vgs', 'pvs', 'flock', 'blockdev'].includes(program) &&
          !['table', 'events2', 'status', 'mknodes', '--list'].includes(args[0]!);
        const act = (moment: 'all' | 'half') => this.#execute(program, args, moment);
        const stdout = changes ? beforeCommand([program, ...args].join(' '), act) : act('all');
        return { exitCode: 0, stdout, stderr: '' };
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const { exitCode, message: stderr } = error;
        if (options?.expectedExitCodes?.includes(exitCode)) return { exitCode, stdout: '', stderr };
        throw new CommandError({ program, args, stderr, ending: { exitCode } }, options?.secrets);
      }
    };
    return {
      run,
      readText: async (path) => this.#read(path),
      writeText: async (path, text) => void this.written.set(path, text),
      deviceNumber: async (path) => (path === DISK ? '254:0' : `253:${this.devices.get(path.replace('/dev/mapper/', ''))!.minor}`),
      hashFile: async (path) => this.volumes.get(this.volumeOfPath(path))!.content,
      flush: async (path) => {
        if (this.diskIsDead || !this.devices.has(path.replace('/dev/mapper/', ''))) throw new Error('EIO: i/o error, fsync');
      },
      readKernelLog: async () => this.kernelLog.map((text, sequence) => ({ sequence, text })),
    };
  }

  /** @param thin of a thin one. */
  addVolume(name: string, sizeBytes: number, content: string, thin?: { readonly thinPool: string; readonly dataPercent: number }): void {
    this.#create(name, { sizeBytes, tags: [], content, ...thin });
  }

  /** What an application does that has the volume's device: through the mirror, if it is in. */
  write(volume: string, content: string): void {
    const device = this.devices.get(logicalVolumeDeviceName(POOL, volume))!;
    device.writtenSectors += 8;
    this.volumes.get(volume)!.content = content;
    const minor = /^0 \d+ linear 147:(\d+) 0$/.exec(device.table)?.[1];
    const resource = [...this.resources.values()].find((candidate) => candidate.minor === Number(minor));
    if (!resource) return;
    this.mirrorWrites.set(Number(minor), (this.mirrorWrites.get(Number(minor)) ?? 0) + 8);
    const peer = replicationOf(this, resource) === 'Connected' ? peerOf(this, resource) : undefined;
    if (peer) this.network.find(({ resources }) => resources.get(peer.name) === peer)!.volumes.get(peer.volume!)!.content = content;
    else resource.metadata!.outOfSyncKib += 4;
  }

  /** Somebody runs `lvchange -ay`. */
  activate(volume: string): void {
    this.#created += 1;
    this.#activate(volume);
  }

  /** What the kernel knew is gone; LVM activates what may be activated. */
  reboot(): void {
    for (const resource of this.resources.values()) {
      const peer = peerOf(this, resource);
      if (peer?.connection === 'Connected') peer.connection = 'WFConnection';
    }
    for (const kernelState of [this.resources, this.devices, this.mirrorWrites, this.files.loops, this.written]) kernelState.clear();
    for (const [name, { autoactivation }] of this.volumes) {
      this.#created += 1;
      if (autoactivation) this.#activate(name);
    }
  }

  /** Everything that a person could see of the node, for comparison. */
  snapshot(): unknown {
    const volumes = [...this.volumes].map(([name, { tags, content, sizeBytes }]) => ({ name, tags: [...tags].sort(), content, sizeBytes }));
    const devices = [...this.devices].map(([name, { table, suspended, loaded, open }]) => ({ name, table, suspended, loaded, open }));
    const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name);
    const files = [...this.files.images, ...this.files.loops.keys()];
    return {
      volumes: volumes.sort(byName),
      devices: devices.sort(byName),
      resources: [...this.resources.keys()].sort(),
      ...(files.length > 0 && { files }),
    };
  }

  volumeOfPath(path: string): string {
    const image = this.files.loops.get(path);
    if (image !== undefined) return nameOfImage(image);
    const device = path.replace('/dev/mapper/', '').replace(/_rehome_back$/, '');
    const volume = [...this.volumes.keys()].find((name) => logicalVolumeDeviceName(POOL, name) === device);
    if (volume === undefined) throw new Refusal(1, `${path}: no such file`);
    return volume;
  }

  openPath(path: string, change: number): void {
    this.devices.get(path.replace('/dev/mapper/', ''))!.open += change;
  }

  closeVolumeOf({ volume }: FakeResource): void {
    const name = logicalVolumeDeviceName(POOL, volume!);
    this.devices.get(this.devices.has(`${name}_rehome_back`) ? `${name}_rehome_back` : name)!.open -= 1;
  }

  isMinorHeld(minor: number | undefined): boolean {
    return [...this.devices.values()].some(({ table }) => table.endsWith(` linear 147:${minor} 0`));
  }

  #execute(program: string, args: readonly string[], moment: 'all' | 'half'): string {
    switch (program) {
      case 'lvs':
        return JSON.stringify({ report: [{ seg: this.#lvs() }] });
      case 'pvs':
        return JSON.stringify({ report: [{ pv: [{ pv_name: DISK, vg_name: POOL, pv_size: '1', pv_missing: '' }] }] });
      case 'losetup':
        return this.files.losetup(args);
      case 'dd':
        return this.files.dd(args);
      case 'rm':
        this.metadata.delete(nameOfImage(args.at(-1)!));
        return this.files.rm(args.at(-1)!);
      case 'vgs':
        return JSON.stringify({ report: [{ vg: [{ vg_name: POOL, vg_extent_size: '1' }] }] });
      case 'lvcreate':
        return this.#lvcreate(args);
      case 'lvchange':
        return this.#lvchange(args);
      case 'lvremove':
        return this.#lvremove(args);
      case 'dmsetup':
        return this.#dmsetup(args);
      case 'sh':
        return this.#swap(args[2]!, moment);
      case 'drbdsetup':
        return (this.drbd === 9 ? drbdsetup9 : drbdsetup)(this, args);
      case 'drbdmeta':
        if (args[2] !== `v0${this.drbd}`) refuse(20, `no metadata of DRBD ${this.drbd}`);
        return drbdmeta(this, args[3]!, args[5]!);
      default:
        return '';
    }
  }

  #lvs() {
    const pools = [...this.thinPools].map(([name, { sizeBytes, dataPercent, chunkBytes }]) =>
      row(name, sizeBytes, { segtype: 'thin-pool', data_percent: inPercent(dataPercent), chunk_size: String(chunkBytes) }),
    );
    const volumes = [...this.volumes].map(([name, { uuid, sizeBytes, tags, thinPool = '', dataPercent, partial }]) => {
      const thin = thinPool !== '' && { pool_lv: thinPool, segtype: 'thin', data_percent: inPercent(dataPercent) };
      const health = partial && { lv_health_status: 'partial' };
      return row(name, sizeBytes, { lv_uuid: uuid, lv_tags: tags.join(','), ...thin, ...health });
    });
    return [...volumes, ...pools];
  }

  #lvcreate(args: readonly string[]): string {
    const given = (option: string): string | undefined => valuesOf(args, option)[0];
    const [name, thinPool] = [given('-n')!, given('--thinpool')];
    const sizeBytes = Number.parseInt(given('-L') ?? given('-V')!, 10);
    if (this.volumes.has(name)) refuse(5, `Logical Volume "${name}" already exists`);
    if (thinPool ? !this.thinPools.has(thinPool) : sizeBytes > this.freeBytes) {
      refuse(
        5,
        thinPool ? `Logical volume ${thinPool} not found` : `Volume group "${POOL}" has insufficient free space (1 extents): 2 required.`,
      );
    }
    const thin = thinPool !== undefined && { thinPool, dataPercent: 0 };
    this.#create(name, { sizeBytes, tags: valuesOf(args, '--addtag'), content: 'zeroes', ...thin });
    return '';
  }

  #create(name: string, volume: Omit<FakeVolume, 'uuid' | 'autoactivation'>): void {
    this.#created += 1;
    this.volumes.set(name, { ...volume, uuid: `uuid-${this.#created}`, autoactivation: true });
    this.#activate(name, 100);
  }

  #activate(name: string, writtenSectors = 0): void {
    const device = logicalVolumeDeviceName(POOL, name);
    const { sizeBytes, thinPool } = this.volumes.get(name)!;
    const minor = this.#created * 10;
    const table = `0 ${sizeBytes / 512} ${thinPool ? 'thin 253:3 1' : `linear 254:0 ${name.length}`}`;
    if (!this.devices.has(device)) this.devices.set(device, { minor, table, suspended: false, open: 0, writtenSectors });
  }

  #lvchange(args: readonly string[]): string {
    const name = args.at(-1)!.split('/')[1]!;
    const volume = this.volumes.get(name)!;
    volume.tags = [...new Set([...volume.tags.filter((tag) => !valuesOf(args, '--deltag').includes(tag)), ...valuesOf(args, '--addtag')])];
    if (args.includes('--setautoactivation')) volume.autoactivation = false;
    if (args.includes('-ay')) this.#activate(name);
    return '';
  }

  #lvremove(args: readonly string[]): string {
    const [, uuid, tag] = /^lv_uuid="(.*)" && lv_tags=\{"(.*)"\}$/.exec(args[2]!)!;
    for (const [name, volume] of this.volumes) {
      const device = logicalVolumeDeviceName(POOL, name);
      if (volume.uuid !== uuid || !volume.tags.includes(tag!)) continue;
      const backed = this.devices.has(`${device}_rehome_back`);
      if (this.devices.get(device)?.open || backed) refuse(5, `Logical volume ${POOL}/${name} in use.`);
      this.volumes.delete(name);
      this.devices.delete(device);
      this.metadata.delete(name);
    }
    return '';
  }

  #dmsetup(args: readonly string[]): string {
    const [command, name = ''] = args.filter((arg) => arg !== '--verifyudev');
    const device = this.devices.get(name);
    const table = args[args.indexOf('--table') + 1]!;
    switch (command) {
      case 'table':
        return [...this.devices].map(([key, value]) => describeDevice(key, value)).join('') || 'No devices found\n';
      case 'create':
        if (device) refuse(1, 'Device or resource busy');
        this.#created += 1;
        this.devices.set(name, { minor: this.#created * 10 + 1, table, suspended: false, open: 0, writtenSectors: 0 });
        return '';
      case 'load':
        device!.loaded = table;
        return '';
      case 'clear':
        device!.loaded = undefined;
        return '';
      case 'resume':
        this.#resume(device!);
        return '';
      case 'remove':
        if (device!.open > 0) refuse(1, 'device-mapper: remove ioctl failed: Device or resource busy');
        this.devices.delete(name);
        return '';
      default:
        return '';
    }
  }

  #swap(name: string, moment: 'all' | 'half'): string {
    const device = this.devices.get(name)!;
    device.suspended = true;
    if (moment === 'half') return '';
    const minor = Number(/147:(\d+)/.exec(device.loaded ?? device.table)?.[1]);
    const read = [statLine(device.writtenSectors), statLine(this.mirrorWrites.get(minor) ?? 0)].join('');
    this.#resume(device);
    return read;
  }

  #resume(device: FakeDevice): void {
    if (device.loaded) device.table = device.loaded;
    Object.assign(device, { loaded: undefined, suspended: false });
  }

  #read(path: string): string | undefined {
    if (this.shown.has(path)) return this.shown.get(path);
    if (path === '/proc/drbd') return this.#procDrbd();
    if (path.endsWith('usermode_helper')) return `${this.usermodeHelper}\n`;
    const [, major, minor, attribute] = /^\/sys\/dev\/block\/(\d+):(\d+)\/(.*)$/.exec(path) ?? [];
    if (attribute === undefined) return undefined;
    if (attribute === 'queue/logical_block_size') return `${this.logicalBlockSizeBytes}\n`;
    if (attribute === 'queue/discard_max_bytes') return `${2 ** 34}\n`;
    if (major === '147') {
      const resource = [...this.resources.values()].find((candidate) => candidate.minor === Number(minor));
      if (attribute === 'size') return `${this.volumes.get(resource?.volume ?? '')!.sizeBytes / 512}\n`;
      return statLine(this.mirrorWrites.get(Number(minor)) ?? 0);
    }
    const [name, device] = [...this.devices].find(([, candidate]) => candidate.minor === Number(minor))!;
    if (attribute === 'stat') return statLine(device.writtenSectors);
    return `${[...this.volumes].find(([volume]) => logicalVolumeDeviceName(POOL, volume) === name)![1].sizeBytes / 512}\n`;
  }

  #procDrbd(): string {
    if (this.drbd === 9) return 'version: 9.3.3 (api:2/proto:118-124)\nTransports (api:22): tcp (9.3.3)\n';
    const lines = [...this.resources.values()]
      .filter(({ minor }) => minor !== undefined)
      .map((resource) => {
        if (!resource.metadata) return ` ${resource.minor}: cs:Unconfigured\n`;
        const peer = resource.connection === 'Connected' ? peerOf(this, resource) : undefined;
        const disks = `${resource.metadata.disk}/${peer ? (peer.metadata?.disk ?? 'Diskless') : 'DUnknown'}`;
        const states = `cs:${replicationOf(this, resource)} ro:${resource.role}/${peer?.role ?? 'Unknown'} ds:${disks}`;
        const counters = `    ns:0 nr:0 dw:0 dr:${resource.readKib} al:0 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:${outOfSyncKib(this, resource)}`;
        return ` ${resource.minor}: ${states} C r--${resource.paused ? 'u' : '-'}--\n${counters}\n`;
      });
    return `version: 8.4.11 (api:1/proto:86-101)\nsrcversion: F73C670A7EC572DB9CF3E5B\n\n${lines.join('\n')}`;
  }
}

const valuesOf = (args: readonly string[], option: string): string[] => args.filter((_, index) => args[index - 1] === option);

const describeDevice = (name: string, { minor, open, suspended, loaded, table }: FakeDevice): string =>
  [
    `Name:              ${name}`,
    `State:             ${suspended ? 'SUSPENDED' : 'ACTIVE'}`,
    `Tables present:    ${loaded ? 'LIVE & INACTIVE' : 'LIVE'}`,
    `Open count:        ${open}`,
    `Major, minor:      253, ${minor}`,
    `\n${table}\n\n`,
  ].join('\n');

const statLine = (writtenSectors: number): string => `1 0 0 0 1 0 ${writtenSectors} 0 0 0 0 0 0 0 0 0 0\n`;
