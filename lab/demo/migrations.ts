/** What the demo reads of the migrations, with kubectl, and how it shows them. */
import type { Lab } from '../index.ts';

export interface Migration {
  readonly name: string;
  readonly volume: string;
  readonly target: string;
  readonly phase: string;
  readonly message: string;
  readonly percent: number | undefined;
  readonly bytesPerSecond: number | undefined;
  readonly etaSeconds: number | undefined;
  /** First entry into each phase, milliseconds since the epoch. */
  readonly phaseTimes: Readonly<Record<string, number>>;
  readonly sourceSha256: string | undefined;
  readonly targetSha256: string | undefined;
  readonly workflowId: string;
}

interface MigrateObject {
  metadata: { name: string };
  spec: { volumeName: string };
  status?: {
    targetNode?: string;
    phase?: string;
    message?: string;
    progress?: { percent?: number; bytesPerSecond?: number; etaSeconds?: number };
    phaseTimes?: Record<string, string>;
    sourceSha256?: string;
    targetSha256?: string;
    workflowId?: string;
  };
}

/** @param list what `kubectl get localvolumemigrates -o json` printed. */
export function parseMigrations(list: string): Migration[] {
  const { items } = JSON.parse(list) as { items: MigrateObject[] };
  return items.map(({ metadata, spec, status }) => ({
    name: metadata.name,
    volume: spec.volumeName,
    target: status?.targetNode ?? '',
    phase: status?.phase ?? '',
    message: status?.message ?? '',
    percent: status?.progress?.percent,
    bytesPerSecond: status?.progress?.bytesPerSecond,
    etaSeconds: status?.progress?.etaSeconds,
    phaseTimes: Object.fromEntries(Object.entries(status?.phaseTimes ?? {}).map(([phase, time]) => [phase, Date.parse(time)])),
    sourceSha256: status?.sourceSha256,
    targetSha256: status?.targetSha256,
    workflowId: status?.workflowId ?? `migrate-${spec.volumeName}`,
  }));
}

export async function readMigrations(lab: Lab): Promise<Migration[]> {
  return parseMigrations((await lab.kubectl(['get', 'localvolumemigrates', '-o', 'json'])).stdout);
}

/** @throws where the volume has no migration, or one without a target. */
export function targetOf(migrations: readonly Migration[], volume: string): string {
  const target = migrations.find((migration) => migration.volume === volume)?.target;
  if (!target) throw new Error(`no migration of ${volume} has a target`);
  return target;
}

/** One that neither begins nor ends at this moment. What is known of it may be 2 s old. */
export function syncInItsMiddle(migrations: readonly Migration[]): Migration | undefined {
  return migrations.find(({ phase, target, percent = 0 }) => phase === 'Syncing' && target !== '' && percent >= 20 && percent <= 90);
}

/** Whether nothing is left to be done before the pods go: their volumes have proven copies, and those of nobody have moved. */
export function waitForPodsOnly(
  migrations: readonly Migration[],
  { used, idle }: { readonly used: readonly string[]; readonly idle: readonly string[] },
): boolean {
  const every = (volumes: readonly string[], holds: (migration: Migration) => boolean): boolean =>
    volumes.every((volume) => migrations.some((migration) => migration.volume === volume && holds(migration)));
  return every(used, hasProvenCopy) && every(idle, ({ phase }) => phase === 'Completed');
}

function hasProvenCopy({ phase, message }: Migration): boolean {
  return phase === 'AwaitingDetach' && message.startsWith('has a proven copy');
}

const HEADINGS = ['VOLUME', 'TARGET', 'PHASE', 'PERCENT', 'RATE', 'ETA', 'MESSAGE'] as const;

/** One line a migration, columns aligned, cut to the terminal: what is drawn in place has to fit, and the cursor stands beneath it. */
export function renderTable(migrations: readonly Migration[], width: number, height = Number.POSITIVE_INFINITY): string[] {
  const rows = [...migrations].sort((a, b) => a.volume.localeCompare(b.volume)).map(row);
  const widths = HEADINGS.map((heading, column) => Math.max(heading.length, ...rows.map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
      .slice(0, width);
  const lines = [line(HEADINGS), ...rows.map(line)];
  if (lines.length < height) return lines;
  const shown = lines.slice(0, Math.max(1, height - 2));
  return [...shown, `and ${lines.length - shown.length} more`];
}

function row(migration: Migration): string[] {
  const copying = migration.phase === 'Syncing' || migration.phase === 'Verifying';
  const show = (value: number | undefined, text: (known: number) => string): string => (copying && value !== undefined ? text(value) : '');
  return [
    migration.volume,
    migration.target || '-',
    migration.phase || 'Pending',
    show(migration.percent, (percent) => `${percent.toFixed(0)} %`),
    // A copy that ended between two looks has no rate.
    show(migration.bytesPerSecond || undefined, rateInWords),
    show(migration.etaSeconds, (seconds) => `${Math.ceil(seconds)} s`),
    migration.message,
  ];
}

/** In whole KiB/s where it is slow: a copy that comes forward is not to look as if it stood still. */
function rateInWords(bytesPerSecond: number): string {
  const kib = bytesPerSecond / 1024;
  return kib < 1024 ? `${kib.toFixed(0)} KiB/s` : `${(kib / 1024).toFixed(0)} MiB/s`;
}
