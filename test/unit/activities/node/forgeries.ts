/**
 * Tasks that somebody put into an agent's queue who can write to Temporal and not to Kubernetes: for every activity, all the ways in which a task can
 * be about something that the LocalVolumeMigrate does not allow.
 */
import type { Mirror, MirrorEnd } from '../../../../core/contracts/migration.ts';
import type { MirrorRole, NodeActivities } from '../../../../core/contracts/node-activities.ts';
import { PHASES, type Phase } from '../../../../core/contracts/phases.ts';

/** How a migration stands in Kubernetes. */
export interface Standing {
  readonly phase: Phase;
  readonly pointOfNoReturn: boolean;
}

/** One use of an activity: what it asks, of which end, and how the migration stands then. */
export interface Step {
  readonly activity: Exclude<keyof NodeActivities, 'observeVolume'>;
  readonly role: MirrorRole;
  readonly phases: readonly Phase[];
  /** undefined: on either side of it. */
  readonly pointOfNoReturn?: boolean;
  /** Beside mirror and role. */
  readonly more?: object;
}

const ENDPOINT = { port: 7000, minor: 100, logicalBlockSizeBytes: 512 };
const MAKES: readonly Phase[] = ['Preparing', 'Syncing', 'Verifying', 'CuttingOver'];
const VERIFIES: readonly Phase[] = ['Verifying', 'CuttingOver'];

/** `observeVolume` is about no migration, and only reads. */
const USES: Record<Step['activity'], readonly Omit<Step, 'activity'>[]> = {
  allocateEndpoint: [
    { role: 'source', phases: MAKES },
    { role: 'target', phases: MAKES },
  ],
  ensureTargetMirror: [{ role: 'target', phases: [...MAKES, 'AwaitingDetach'], more: { sourceEndpoint: ENDPOINT } }],
  ensureSourceMirror: [
    { role: 'source', phases: ['Preparing', 'Syncing', 'Verifying'], pointOfNoReturn: false, more: { targetEndpoint: ENDPOINT } },
  ],
  awaitSync: [{ role: 'source', phases: ['Syncing', 'Verifying', 'AwaitingDetach', 'CuttingOver'] }],
  readTargetCounter: [{ role: 'target', phases: [...VERIFIES, 'AwaitingDetach'] }],
  verifyMirror: [{ role: 'source', phases: VERIFIES }],
  repairMirror: [{ role: 'source', phases: VERIFIES, pointOfNoReturn: false }],
  closeSource: [{ role: 'source', phases: ['CuttingOver'], pointOfNoReturn: false }],
  markCutOver: [
    { role: 'source', phases: ['CuttingOver'] },
    { role: 'target', phases: ['CuttingOver'], pointOfNoReturn: true },
  ],
  hashVolume: [
    { role: 'source', phases: ['CuttingOver'] },
    { role: 'target', phases: ['CuttingOver'] },
  ],
  dissolveMirror: [
    { role: 'source', phases: ['CuttingOver'], pointOfNoReturn: true },
    { role: 'target', phases: ['CuttingOver'], pointOfNoReturn: true },
  ],
  removeSource: [{ role: 'source', phases: ['RemovingSource'], pointOfNoReturn: true }],
  releaseTarget: [{ role: 'target', phases: ['RemovingSource'], pointOfNoReturn: true }],
  restoreSource: [{ role: 'source', phases: ['Preparing', 'Aborting'], pointOfNoReturn: false }],
  discardTarget: [{ role: 'target', phases: ['Preparing', 'Aborting'], pointOfNoReturn: false }],
};

export const STEPS: readonly Step[] = Object.entries(USES).flatMap(([activity, uses]) =>
  uses.map((use) => ({ ...use, activity: activity as Step['activity'] })),
);

/** What an activity is given. */
export const requestOf = ({ role, more }: Step, mirror: Mirror): object => ({ mirror, role, ...more });

/** How the migration stands when the step is asked for as it should be. */
export const standingOf = ({ phases, pointOfNoReturn = false }: Step): Standing => ({ phase: phases[0]!, pointOfNoReturn });

export interface Forgery {
  readonly what: string;
  readonly mirror: Mirror;
  readonly standing: Standing;
}

/** @param mirror as it is recorded, one of whose ends is on the node that is asked. @param other a node that the migration is not about. */
export function forgeriesOf(step: Step, mirror: Mirror, other: string): Forgery[] {
  const { role, phases, pointOfNoReturn } = step;
  const standing = standingOf(step);
  const { migration, source, target } = mirror;
  const stranger = (end: MirrorEnd): MirrorEnd => ({ ...end, storageAddress: '10.77.0.9' });
  const wrongMirrors: Readonly<Record<string, Partial<Mirror>>> = {
    'of a migration that does not exist': { migration: { ...migration, name: 'nobody' } },
    'of a migration with another uid': { migration: { ...migration, uid: '0b9f1c52-6f2e-4f5e-8f43-2d3a8f0f4b11' } },
    'about another volume': { migration: { ...migration, volume: 'other' } },
    'about a volume in another pool': { pool: 'LocalStorage_PoolSSD' },
    'about a volume of another size': { sizeBytes: mirror.sizeBytes * 2 },
    'of an earlier pairing': { pairing: mirror.pairing - 1 },
    'of a later pairing': { pairing: mirror.pairing + 1 },
    'with a stranger’s address as the source’s': { source: stranger(source) },
    'with a stranger’s address as the target’s': { target: stranger(target) },
    'for another node': { [role]: { ...mirror[role], node: other } },
    'with another node at the other end':
      role === 'source' ? { target: { ...target, node: other } } : { source: { ...source, node: other } },
  };
  const inOtherPhases = PHASES.filter((phase) => !phases.includes(phase)).map((phase) => ({
    what: `in phase ${phase}`,
    mirror,
    standing: { ...standing, phase },
  }));
  const wrongSide = {
    what: 'on the other side of the point of no return',
    mirror,
    standing: { ...standing, pointOfNoReturn: !pointOfNoReturn },
  };
  return [
    ...Object.entries(wrongMirrors).map(([what, wrong]) => ({ what, mirror: { ...mirror, ...wrong }, standing })),
    ...inOtherPhases,
    ...(pointOfNoReturn === undefined ? [] : [wrongSide]),
  ];
}

/** Where a name of the request stands, and what may stand there at all. */
export interface NamedField {
  readonly field: string;
  readonly allows: (value: unknown) => boolean;
  readonly set: (mirror: Mirror, value: unknown) => unknown;
}

const matching = (pattern: RegExp, maximumLength: number) => (value: unknown) =>
  typeof value === 'string' && value.length <= maximumLength && pattern.test(value);
const isObjectName = matching(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 253);
export const isPool = matching(/^[A-Za-z0-9+_][A-Za-z0-9+_.-]*$/, 127);
/** LVM has names of its own. */
export const isVolume = matching(/^(?!snapshot|pvmove)[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 127);
/** It gets suffixes. */
const isMirroredVolume = (value: unknown) => isVolume(value) && String(value).length <= 100;
const isUuid = matching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 36);
const isIpv4 = matching(/^(\d{1,3}\.){3}\d{1,3}$/, 15);

const inMigration = (field: string) => (mirror: Mirror, value: unknown) => ({
  ...mirror,
  migration: { ...mirror.migration, [field]: value },
});
const atEnd = (role: MirrorRole, field: string) => (mirror: Mirror, value: unknown) => ({
  ...mirror,
  [role]: { ...mirror[role], [field]: value },
});

export const NAMED_FIELDS: readonly NamedField[] = [
  { field: 'the migration', allows: isObjectName, set: inMigration('name') },
  { field: 'its uid', allows: isUuid, set: inMigration('uid') },
  { field: 'the volume', allows: isMirroredVolume, set: inMigration('volume') },
  { field: 'the pool', allows: isPool, set: (mirror, pool) => ({ ...mirror, pool }) },
  { field: 'the source', allows: isObjectName, set: atEnd('source', 'node') },
  { field: 'the target', allows: isObjectName, set: atEnd('target', 'node') },
  { field: "the source's address", allows: isIpv4, set: atEnd('source', 'storageAddress') },
  { field: "the target's address", allows: isIpv4, set: atEnd('target', 'storageAddress') },
];

/** Names with which programs, shells, paths and LVM's selections have been fooled before. */
export const HOSTILE_NAMES: readonly unknown[] = [
  '',
  '.',
  '..',
  '../../etc/passwd',
  '-y',
  '--select',
  '--config=devices{}',
  'a b',
  'a/b',
  'a\nb',
  'a\0b',
  'a"b',
  'x" || lv_size>0 || lv_name="',
  '$(reboot)',
  '`reboot`',
  ';reboot',
  '@tag',
  'dätä',
  '10.77.0.1:7000',
  '::1',
  'snapshot',
  'pvmove0',
  'x'.repeat(300),
  'data_rehome_metadata',
  undefined,
  null,
  7,
  ['data'],
  { toString: 'data' },
];
