/**
 * A cluster that is all in memory: nodes with logical volumes and mirrors, the objects that describe them, what may go wrong.
 *
 * It behaves as the contracts of the activities say, and it keeps watch: whatever would lose data in a real cluster is written down as a violation.
 */
import type { MigrationRef, MirrorEnd, Stay } from '../../core/contracts/migration.ts';
import type { Trigger } from '../../core/contracts/names.ts';
import type { SectorRange, SkippedRanges } from '../../core/contracts/node-activities.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import { Faults } from './faults.ts';

export const MiB = 2 ** 20;

export interface LogicalVolume {
  /** Stands for the bits. */
  content: string;
  sizeBytes: number;
  active: boolean;
  hasSnapshots: boolean;
  /** Held open by somebody although the API says it is free. */
  open: boolean;
  migrationUid?: string;
  cutOverBy?: string;
}

export interface MirrorState {
  migrationUid: string;
  pairing: number;
  attached: boolean;
  inserted: boolean;
  /** KiB that DRBD has read from this end since it was attached. */
  readKib: number;
  /** Sectors that passed the volume's device, and those that passed the mirror. */
  volumeSectors: number;
  mirrorSectors: number;
}

export interface Node {
  readonly name: string;
  readonly storageAddress: string;
  exists: boolean;
  cordoned: boolean;
  disabled: boolean;
  agentAlive: boolean;
  /** Nobody reaches it in the storage network. */
  storageCut: boolean;
  /** In which its volumes have no room left. */
  fullThinPool?: string;
  logicalBlockSizeBytes: number;
  freeBytes: number;
  readonly volumeGroups: Set<string>;
  readonly volumes: Map<string, LogicalVolume>;
  readonly mirrors: Map<string, MirrorState>;
  /** Volumes on their way here. */
  readonly reservations: Map<string, string>;
  /** What the next verifies that begin here skip, one after the other; none of the rest skips anything. */
  readonly skips: SkippedRanges[];
  /** What verifies that began here compared: the whole device, or these ranges. */
  readonly compared: ('everything' | readonly SectorRange[])[];
}

export interface VolumeObjects {
  readonly pool: string;
  requiredCapacityBytes: number;
  /** By node, the replica's allocated capacity. */
  readonly replicas: Map<string, number>;
  /** Where the PersistentVolume lets pods run. */
  affinity: string;
  heldBy: string[];
  /** Copied beside its users. */
  online?: true;
  stays?: Stay;
  /** The other volumes of its pods. */
  companions: readonly string[];
}

export interface Migrate {
  readonly ref: MigrationRef;
  readonly trigger: Trigger;
  readonly sourceNode: string;
  phase: Phase;
  /** When the activity that reported last was scheduled. */
  reportedAt: number;
  message: string;
  reason?: string | undefined;
  parkedIn?: Exclude<Phase, 'NeedsAttention'>;
  pointOfNoReturn: boolean;
  proven: boolean;
  abortedByPerson: boolean;
  holdReleased: boolean;
  /** Its object was deleted. */
  withdrawn?: true;
  target?: MirrorEnd;
  pairing?: number;
  sizeBytes?: number;
  pool?: string;
  source?: MirrorEnd;
  sourceSha256?: string;
  targetSha256?: string;
  percent?: number;
  syncedBytes?: number;
  /** By uid, those that had ended when it was begun. */
  readonly earlier: ReadonlySet<string>;
  readonly phases: Phase[];
}

/** A LocalVolumeMigrate that somebody made. */
export interface MigrateRequest {
  readonly name: string;
  readonly uid: string;
  /** It was deleted. */
  withdrawn: boolean;
  /** The only nodes that the volume may go to, the best first; empty: any. */
  suggested: readonly string[];
}

/** A pod that is evicted; its claims bear the names of their volumes. */
export interface EvictedPod {
  readonly node: string;
  /** Volumes whose claims carry its mark. */
  readonly marked: Set<string>;
  label: string;
}

export class World {
  readonly nodes = new Map<string, Node>();
  readonly volumes = new Map<string, VolumeObjects>();
  readonly migrates: Migrate[] = [];
  /** By volume. */
  readonly requests = new Map<string, MigrateRequest>();
  /** By uid. */
  readonly evictedPods = new Map<string, EvictedPod>();
  readonly events: string[] = [];
  /** Of all reports, in order. */
  readonly messages: string[] = [];
  /** Activities in the order they took effect: `<activity>` or `<activity> <node>`. */
  readonly journal: string[] = [];
  readonly violations: string[] = [];
  readonly faults = new Faults();
  /** How often all the bits of a volume were sent to another node. */
  copies = 0;
  hashCheck = false;
  /** Its users change what is compared while it is compared. */
  restless = false;
  evictionDelaySeconds = 0;
  syncLimits = { perNode: 2, perCluster: 10 };

  addNode(name: string): Node {
    const node: Node = {
      name,
      storageAddress: `10.0.0.${this.nodes.size + 1}`,
      exists: true,
      cordoned: false,
      disabled: false,
      agentAlive: true,
      storageCut: false,
      logicalBlockSizeBytes: 512,
      freeBytes: 1024 * MiB,
      volumeGroups: new Set(['hdd']),
      volumes: new Map(),
      mirrors: new Map(),
      reservations: new Map(),
      skips: [],
      compared: [],
    };
    this.nodes.set(name, node);
    return node;
  }

  addVolume(name: string, node: string): VolumeObjects {
    const sizeBytes = 8 * MiB;
    const replicas = new Map([[node, sizeBytes]]);
    const objects = { pool: 'hdd', requiredCapacityBytes: sizeBytes, replicas, affinity: node, heldBy: [], companions: [] };
    this.volumes.set(name, objects);
    this.node(node).volumes.set(name, { content: `bits of ${name}`, sizeBytes, active: true, hasSnapshots: false, open: false });
    return objects;
  }

  /** One pod uses all of these. */
  bind(volumes: readonly string[]): void {
    for (const name of volumes) this.volumes.get(name)!.companions = volumes.filter((other) => other !== name);
  }

  node(name: string): Node {
    const node = this.nodes.get(name);
    if (!node) throw new Error(`the world has no node ${name}`);
    return node;
  }

  openMigrate(volume: string): Migrate | undefined {
    return this.migrates.find(({ ref, phase }) => ref.volume === volume && phase !== 'Completed' && phase !== 'Aborted');
  }

  migrateOf(volume: string): Migrate {
    const found = this.migrates.findLast(({ ref }) => ref.volume === volume);
    if (!found) throw new Error(`no LocalVolumeMigrate of ${volume}`);
    return found;
  }

  /** What the kernel knows of mirrors is gone; LVM activates what may be activated. */
  reboot(name: string): void {
    const node = this.node(name);
    for (const mirror of node.mirrors.values()) Object.assign(mirror, { attached: false, inserted: false, readKib: 0 });
    for (const volume of node.volumes.values()) volume.active = volume.cutOverBy === undefined;
  }

  /** Somebody writes through the volume's device. */
  write(volume: string, node: string, text: string): void {
    const disk = this.node(node).volumes.get(volume);
    if (!disk?.active) throw new Error(`${volume} has no device on ${node}`);
    disk.content += text;
    const mirror = this.node(node).mirrors.get(volume);
    if (!mirror) return;
    mirror.volumeSectors += 8;
    if (!mirror.inserted) return;
    mirror.mirrorSectors += 8;
    const peer = this.peerOf(volume, node);
    if (peer?.mirror.attached) peer.disk.content = disk.content;
  }

  /** Changes a volume behind its mirror's back, as LVM does when it takes the mirror away for a moment. */
  writePastMirror(volume: string, node: string, text: string): void {
    const disk = this.node(node).volumes.get(volume);
    const mirror = this.node(node).mirrors.get(volume);
    if (!disk || !mirror) throw new Error(`${volume} has no mirror on ${node}`);
    disk.content += text;
    mirror.volumeSectors += 8;
  }

  /** The other end of a mirror, where both belong to the same pairing. */
  peerOf(volume: string, node: string): { readonly node: Node; readonly disk: LogicalVolume; readonly mirror: MirrorState } | undefined {
    const own = this.node(node).mirrors.get(volume);
    for (const other of this.nodes.values()) {
      const mirror = other.mirrors.get(volume);
      const disk = other.volumes.get(volume);
      if (other.name !== node && mirror && disk && mirror.migrationUid === own?.migrationUid && mirror.pairing === own.pairing) {
        return { node: other, disk, mirror };
      }
    }
    return undefined;
  }

  violated(what: string): void {
    this.violations.push(what);
  }

  /** Everything but the migrations' own records: an abort leaves it as it was. */
  snapshot(): unknown {
    const nodes = [...this.nodes.values()].map(({ name, volumes, mirrors, reservations }) => ({ name, volumes, mirrors, reservations }));
    return structuredClone({ nodes, volumes: this.volumes });
  }
}
