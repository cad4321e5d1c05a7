/**
 * What a mirror needs of DRBD, whichever version the node's kernel has: each version speaks to other objects (minors and addresses, or resources
 * and node ids) and gives other proofs, and hides it behind this interface. The module of each node decides: `openMirrorDriver`.
 *
 * What stands already is for the caller to see by `observe`, and to act on in the order that cannot overwrite the source: attach, promote, and only
 * then connect, paused.
 */

import type { MirrorRole, SectorRange, SkippedRanges } from '../../core/contracts/node-activities.ts';
import type { SyncSettings } from '../../core/contracts/sync-settings.ts';

/** A mirror's end on this node. */
export interface LocalMirror {
  readonly resource: string;
  readonly minor: number;
  readonly role: MirrorRole;
}

/** Both ends: all that any command needs to name what it is about. */
export interface MirrorPair extends LocalMirror {
  readonly local: SocketAddress;
  readonly peer: SocketAddress;
}

export interface SocketAddress {
  /** IPv4. */
  readonly address: string;
  readonly port: number;
}

/** States are DRBD's own words (drbd.conf(5)); a state this code does not know is one it does not act on. */
export interface MirrorState {
  readonly role: string;
  /** `Diskless`, `Inconsistent`, `UpToDate`, … */
  readonly disk: string;
  /** `StandAlone` (also before the first connect), `Connected`, and what either version calls the way there: `WFConnection`, `Connecting`, … */
  readonly connection: string;
  /** `Off` without a connection, `Established`, `PausedSyncS`, `SyncSource`, `VerifyS`, … */
  readonly replication: string;
  readonly peerDisk: string;
  readonly outOfSyncKib: number;
  /** Read from the backing device since attach. */
  readonly readKib: number;
  /** While a sync or a verify runs. */
  readonly position?: { readonly leftKib: number; readonly totalKib: number; readonly kibPerSecond: number };
}

/** Paths. */
export interface MirrorDevices {
  readonly data: string;
  readonly metadata: string;
  /**
   * A sync into the data leaves out what is zeros on the source, so that a thin volume stays thin. Its discards must be limited to
   * {@link DISCARD_LIMIT_BYTES}.
   */
  readonly thin?: boolean;
}

/** dm-thin takes discards of 16 GiB, which DRBD 8.4 counts in 32 bits: to 0, and then copies every zero. */
export const DISCARD_LIMIT_BYTES = 2 ** 30;

export interface ObservedResource {
  readonly resource: string;
  /** undefined: the resource has no device yet. */
  readonly minor?: number;
  readonly state?: MirrorState;
}

export interface MirrorDriver {
  /** Every resource in the kernel, also those that are not ours. */
  observe(): Promise<readonly ObservedResource[]>;
  /** Every minor in the kernel. */
  listMinors(): Promise<readonly number[]>;
  /** One minor, whosever it is, for waits: no program is started on 8.4, one on 9. undefined: there is no such minor. */
  observeMinor(minor: number): Promise<MirrorState | undefined>;
  /** Writes new, empty metadata: everything is out of sync. */
  writeMetadata(minor: number, metadataDevice: string): Promise<void>;
  /** Replays the activity log of metadata that was not detached in order (a crash), without which attach refuses it; harmless otherwise. */
  applyActivityLog(minor: number, metadataDevice: string): Promise<void>;
  createResource(mirror: LocalMirror): Promise<void>;
  createMinor(mirror: LocalMirror): Promise<void>;
  attach(mirror: LocalMirror, devices: MirrorDevices): Promise<void>;
  /** Primary also with a disk that is not known to be good: on the source, whose bits are the truth. */
  promoteByForce(mirror: LocalMirror): Promise<void>;
  /**
   * Listens and calls, where it is StandAlone. The peer is let in by the shared secret; 9 also asks for its address.
   * @param options.paused the sync that follows is to wait for `resumeSync`.
   */
  connect(pair: MirrorPair, sharedSecret: string, options: { readonly paused: boolean }): Promise<void>;
  /** A sync that is not paused is fine. */
  resumeSync(mirror: LocalMirror): Promise<void>;
  /** From here on this end's syncs (a target's) and verifies (a source's) go by these settings, also those that run. */
  controlSync(mirror: LocalMirror, settings: SyncSettings): Promise<void>;
  /** The most that this end's syncs take, also those that run; the other settings stay. */
  limitRate(mirror: LocalMirror, bytesPerSecond: number): Promise<void>;
  /** Also with a dead peer, whose silence would hold writes; a connection that is gone already is fine. */
  disconnect(pair: MirrorPair): Promise<void>;
  /** Of the whole device, or of this range; returns when it has begun. */
  startVerify(mirror: LocalMirror, range?: SectorRange): Promise<void>;
  /** Where the record of what verifies skip stands. undefined: this version skips nothing. */
  verifyLogPosition(): Promise<number | undefined>;
  /**
   * What verifies that have ended skipped since that position; without one, what the last verify that this end has begun skipped on either. undefined:
   * this version skips nothing itself, and does not hear what the other end skips.
   */
  skippedByVerify(mirror: LocalMirror, since?: number): Promise<SkippedRanges | undefined>;
  /** Sends the blocks a verify found different again; returns when the resync was asked for. */
  repair(pair: MirrorPair, sharedSecret: string): Promise<void>;
  /** Takes the resource away with all it has, Primary or not. @throws CommandError while anything has the device open. */
  down(resource: string): Promise<void>;
}

/** Linux's registered major number of DRBD's block devices (Documentation/admin-guide/devices.txt). */
const DRBD_MAJOR = 147;
export const mirrorDeviceNumber = (minor: number): `${number}:${number}` => `${DRBD_MAJOR}:${minor}`;
