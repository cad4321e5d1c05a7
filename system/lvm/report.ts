/**
 * What LVM says stands on this node: volume groups, physical volumes, logical volumes with their segments.
 *
 * Selections instead of names as arguments: LVM answers "nothing" for what is not there, and no error text has to be understood. While a mirror
 * is in, LVM reads the device's table and warns on stderr; names, sizes and tags stay right; whether a volume is active or open, the
 * device mapper is asked.
 */
import { z } from 'zod';
import type { Host } from '../host.ts';

const bytes = z.string().regex(/^\d+$/).transform(Number);
const list = z.string().transform((text) => (text === '' ? [] : text.split(',')));
const flag = z.string().transform((text) => text !== '');

const volumeGroupRow = z
  .object({ vg_name: z.string(), vg_extent_size: bytes })
  .transform((row) => ({ name: row.vg_name, extentSizeBytes: row.vg_extent_size }));

const physicalVolumeRow = z
  .object({ pv_name: z.string(), vg_name: z.string(), pv_size: bytes, pv_missing: flag })
  .transform((row) => ({ device: row.pv_name, volumeGroup: row.vg_name, sizeBytes: row.pv_size, missing: row.pv_missing }));

/** Of each segment a row, in which the volume says everything of itself again. */
const segmentRow = z.object({
  vg_name: z.string(),
  vg_extent_size: bytes,
  lv_name: z.string(),
  lv_uuid: z.string(),
  lv_size: bytes,
  lv_tags: list,
  pool_lv: z.string(),
  origin: z.string(),
  segtype: z.string(),
  chunk_size: z.string(),
  data_percent: z.string(),
  lv_health_status: z.string(),
});
type SegmentRow = z.infer<typeof segmentRow>;

const toSegment = (row: SegmentRow) => ({
  type: row.segtype,
  /** The unit in which a thin pool gives space; 0 for others. */
  chunkSizeBytes: Number(row.chunk_size),
  /** Of its whole volume, what is taken: by a thin one of its pool, of a pool by its volumes. undefined: LVM cannot tell. */
  dataPercent: row.data_percent === '' ? undefined : Number(row.data_percent),
});

const toLogicalVolume = (row: SegmentRow, segments: readonly SegmentRow[]) => ({
  volumeGroup: row.vg_name,
  /** Of its volume group. */
  extentSizeBytes: row.vg_extent_size,
  name: row.lv_name,
  uuid: row.lv_uuid,
  sizeBytes: row.lv_size,
  tags: row.lv_tags,
  /** Name of the thin pool it lives in, or of its cache pool; '' for any other. */
  thinPool: row.pool_lv,
  /** Name of the volume it is a snapshot of; '' where it is none. */
  origin: row.origin,
  /** A physical volume that it lies on is missing. */
  partial: row.lv_health_status === 'partial',
  segments: segments.map(toSegment),
});

export type VolumeGroup = z.infer<typeof volumeGroupRow>;
export type PhysicalVolume = z.infer<typeof physicalVolumeRow>;
export type LogicalVolume = ReturnType<typeof toLogicalVolume>;

export const parseVolumeGroups = (json: string): VolumeGroup[] => parseReport(json, 'vg', volumeGroupRow);
export const parsePhysicalVolumes = (json: string): PhysicalVolume[] => parseReport(json, 'pv', physicalVolumeRow);
export function parseLogicalVolumes(json: string): LogicalVolume[] {
  const byVolume = Map.groupBy(parseReport(json, 'seg', segmentRow), ({ lv_uuid }) => lv_uuid);
  return [...byVolume.values()].map((segments) => toLogicalVolume(segments[0]!, segments));
}

export async function listVolumeGroups(host: Host): Promise<VolumeGroup[]> {
  return parseVolumeGroups(await report(host, 'vgs', 'vg_name,vg_extent_size'));
}

export async function listPhysicalVolumes(host: Host): Promise<PhysicalVolume[]> {
  return parsePhysicalVolumes(await report(host, 'pvs', 'pv_name,vg_name,pv_size,pv_missing'));
}

/** Without a volume group: those of all groups. */
export async function listLogicalVolumes(host: Host, volumeGroup?: string): Promise<LogicalVolume[]> {
  const selection = volumeGroup === undefined ? [] : ['--select', `vg_name="${volumeGroup}"`];
  return parseLogicalVolumes(await report(host, 'lvs', Object.keys(segmentRow.shape).join(','), '--segments', ...selection));
}

async function report(host: Host, program: string, fields: string, ...selection: string[]): Promise<string> {
  const args = ['--reportformat', 'json', '--units', 'b', '--nosuffix', '-o', fields, ...selection];
  return (await host.run(program, args)).stdout;
}

/** @throws where LVM's answer has another shape than its JSON reports had from 2.02.158 (the first) to 2.03.16. */
function parseReport<Row extends z.ZodType>(json: string, kind: string, row: Row): z.infer<Row>[] {
  const { report } = z.object({ report: z.array(z.record(z.string(), z.unknown())) }).parse(JSON.parse(json));
  return report.flatMap((part) => z.array(row).parse(part[kind] ?? []));
}
