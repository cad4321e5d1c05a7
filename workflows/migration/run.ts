/** What one run of a migration knows. Nothing here is durable: a new run reads all of it again. */
import type { MigrationRecord, VolumeFacts } from '../../core/contracts/cluster-activities.ts';
import type { MigrateVolumeInput, MigrationRef, Mirror, MirrorEnd, MirrorEndpoint, ThinVolume } from '../../core/contracts/migration.ts';
import type { SectorRange } from '../../core/contracts/node-activities.ts';
import type { Phase } from '../../core/contracts/phases.ts';
import type { Refusal } from '../../core/contracts/reasons.ts';
import { type Failure, MigrationFailure } from '../failure.ts';
import { Inbox } from './inbox.ts';

export type ActivePhase = Exclude<Phase, 'NeedsAttention'>;

export interface GivenUp {
  readonly refusal: Refusal;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface MigrationRun {
  readonly input: MigrateVolumeInput;
  readonly inbox: Inbox;
  /** The record's, once there is one: a run that was started for another node first ends what was begun. */
  sourceNode: string;
  ref?: MigrationRef;
  /** The last look at the objects, and how many there were. */
  facts?: VolumeFacts;
  looks: number;
  /** When the last one was answered, in milliseconds since 1970. */
  lookedAt: number;

  phase: Phase;
  parkedIn?: ActivePhase;
  /** What happens, or why it waits: as reported last. */
  message: string;
  /** What is reported again when nothing is in the way of it any more, and the stable word for why it waits. */
  doing: string;
  reason?: string | undefined;
  /** Why each node is no target, as reported last. */
  refusals?: Readonly<Record<string, Refusal>> | undefined;
  /** Suggested nodes that cannot be the target. */
  unfit?: Readonly<Record<string, Refusal>> | undefined;
  lastFailure?: Failure;
  /** Settles when the last report is written, or has failed in its caller's hands. */
  reporting: Promise<void>;
  /** Nodes that have a step of this run in their queues. */
  readonly atWork: string[];
  /** Steps of this run that wait for the API server. */
  outages: number;

  pool?: string;
  sizeBytes?: number;
  thin?: ThinVolume | undefined;
  source?: MirrorEnd;
  target?: MirrorEnd;
  pairing?: number;
  /** The last mirror that something may have been made for: what an abort has to remove. */
  begun?: Mirror;
  /** Where the source listens in this pairing. */
  sourceEndpoint?: MirrorEndpoint;
  /** The target had no room for more when its end was looked at last. */
  fullThinPool?: string | undefined;
  /** The mirror of this pairing was put in on the source. */
  mirrorStands: boolean;
  /** A whole verify of this pairing has found no difference. */
  verified: boolean;
  /** What it skipped, to be compared once the volume is closed. */
  uncompared: readonly SectorRange[];
  /** What the target's counter said after it, in KiB: where it says something else, its disk was attached anew since. */
  provenReadKib?: number;
  /** The volume's device was removed: nobody can write to it. */
  closed: boolean;
  /** Its users write so much that no verify beside them comes to an end: the closed volume is verified. */
  verifyClosed: boolean;
  /** How often something was begun again since the mirror last got further. */
  setbacks: number;
  /** How often in a row the volume could not be closed, because something on its node has it open. */
  heldOpen: number;
  /** Of the run before, until the record says whether it is of the same mirror. */
  inheritedProof?: Inheritance['proof'];
  /** Nodes that turned out to be no target, by name. */
  readonly givenUp: Record<string, GivenUp>;
  /** Since when its agent is away while a step waits for it, in milliseconds since 1970. */
  targetAwaySince?: number;
  /** Since when the two ends of the mirror do not reach each other. */
  peerLostSince?: number;
  /** The target is to be left for another node. `failure`: what is for a person if there is no other. */
  leaving?: { readonly why: string; readonly refusal: Refusal; readonly failure?: Failure };
  /** A turn to sync was asked for, and not given back. */
  turnWanted: boolean;
  /** Settles when the last turn was given back. */
  turnReturned?: Promise<void>;

  /** Set before the first attempt to write it down, never taken back. */
  pointOfNoReturn: boolean;
  abortedByPerson: boolean;
  hashCheck: boolean;
  sourceSha256?: string;
}

/** What a run leaves to the one after it where its history became too long, and no record has. */
export interface Inheritance {
  readonly givenUp: Readonly<Record<string, GivenUp>>;
  /** What was found out of the mirror of one pairing of one migration. */
  readonly proof?: Pick<MigrationRun, 'verified' | 'uncompared' | 'provenReadKib' | 'verifyClosed'> & {
    readonly migrationUid: string;
    readonly pairing: number;
  };
}

export function beginRun(input: MigrateVolumeInput, inheritance?: Inheritance): MigrationRun {
  return {
    input,
    ...(inheritance?.proof && { inheritedProof: inheritance.proof }),
    inbox: new Inbox(),
    sourceNode: input.sourceNode,
    looks: 0,
    lookedAt: 0,
    phase: 'Pending',
    message: '',
    doing: '',
    reporting: Promise.resolve(),
    atWork: [],
    outages: 0,
    mirrorStands: false,
    verified: false,
    uncompared: [],
    closed: false,
    verifyClosed: false,
    setbacks: 0,
    heldOpen: 0,
    givenUp: { ...inheritance?.givenUp },
    turnWanted: false,
    pointOfNoReturn: false,
    abortedByPerson: false,
    hashCheck: false,
  };
}

export function leaveBehind({ ref, pairing, givenUp, verified, uncompared, provenReadKib, verifyClosed }: MigrationRun): Inheritance {
  if (!ref || pairing === undefined) return { givenUp };
  const proof = { verified, uncompared, verifyClosed, ...(provenReadKib !== undefined && { provenReadKib }) };
  return { givenUp, proof: { migrationUid: ref.uid, pairing, ...proof } };
}

/** Takes over what the durable record says, and what the run before knew of the mirror in it. */
export function adoptRecord(run: MigrationRun, record: MigrationRecord): void {
  const { phase, parkedIn, pointOfNoReturn, abortedByPerson, ...known } = record;
  Object.assign(run, known);
  // A point of no return that may have been written counts as written.
  run.pointOfNoReturn ||= pointOfNoReturn;
  run.abortedByPerson ||= abortedByPerson;
  const mirror = mirrorOf(run);
  if (mirror) run.begun ??= mirror;
  const { inheritedProof } = run;
  delete run.inheritedProof;
  if (!inheritedProof) return;
  const { migrationUid, pairing, ...proof } = inheritedProof;
  if (migrationUid === record.ref.uid && pairing === record.pairing) Object.assign(run, proof);
}

/** The mirror of the pairing that was begun; undefined: none was. */
function mirrorOf({ ref, pool, sizeBytes, source, target, pairing }: MigrationRun): Mirror | undefined {
  if (!ref || !pool || sizeBytes === undefined || !source || !target || pairing === undefined) return undefined;
  return { migration: ref, pool, sizeBytes, source, target, pairing };
}

/** For steps that only follow Preparing. */
export const requireMirror = (run: MigrationRun): Mirror => required(mirrorOf(run), run, 'what its mirror is made of');
export const requireRef = (run: MigrationRun): MigrationRef => required(run.ref, run, 'a name');
export const requireFacts = (run: MigrationRun): VolumeFacts => required(run.facts, run, 'a look at the objects');

/** @throws MigrationFailure InvalidArgument */
export function required<T>(value: T | undefined, { phase }: MigrationRun, what: string): T {
  if (value !== undefined) return value;
  const message = `the migration lacks ${what}, which ${phase} needs: was its LocalVolumeMigrate changed by hand?`;
  throw new MigrationFailure({ reason: 'InvalidArgument', message, permanent: true, lookHelps: false });
}
