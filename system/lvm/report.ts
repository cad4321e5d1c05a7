/**
 * What LVM says stands on this node: volume groups, physical volumes, logical volumes and their segments.
 *
 * Selections instead of names as arguments: LVM answers "nothing" for what is not there, and no error text has to be understood. While a mirror
 * is in, LVM reads the device's table and warns on stderr; names, sizes, tags, `lv_active` and `lv_device_open` stay right.
 */
import { z } from 'zod';
import type { Host } from '../host.ts';

const bytes = z.string().regex(/^\d+$/).transform(Number);
const list = z.string().transform((text) => (text === '' ? [] : text.split(',')));
const flag = z.string().transform((text) => text !== '');

const volumeGroupRow = z
  .object({ vg_name: z.string(), vg_size: bytes, vg_free: bytes, vg_extent_size: bytes })
  .transform((row) => ({ name: row.vg_name, sizeBytes: row.vg_size, freeBytes: row.vg_free, extentSizeBytes: row.vg_extent_size }));

const physicalVolumeRow = z
  .object({ pv_name: z.string(), vg_name: z.string(), pv_size: bytes, pv_missing: flag })
  .transform((row) => ({ device: row.pv_name, volumeGroup: row.vg_name, sizeBytes: row.pv_size, missing: row.pv_missing }));

const logicalVolumeRow = z
  .object({
    vg_name: z.string(),
    lv_name: z.string(),
    lv_uuid: z.string(),
    lv_size: bytes,
    lv_attr: z.string(),
    lv_tags: list,
    lv_active: z.string(),
    lv_device_open: flag,
    pool_lv: z.string(),
    origin: z.string(),
  })
  .transform((row) => ({
    volumeGroup: row.vg_name,
    name: row.lv_name,
    uuid: row.lv_uuid,
    sizeBytes: row.lv_size,
    attributes: row.lv_attr,
    tags: row.lv_tags,
    active: row.lv_active === 'active',
    open: row.lv_device_open,
    /** Name of the thin pool it lives in, or of its cache pool; '' for any other. */
    thinPool: row.pool_lv,
    /** Name of the volume it is a snapshot of; '' where it is none. */
    origin: row.origin,
  }));

const segmentRow = z
  .object({
    vg_name: z.string(),
    lv_name: z.string(),
    segtype: z.string(),
    devices: list,
    chunk_size: z.string(),
    data_percent: z.string(),
  })
  .transform((row) => ({
    volumeGroup: row.vg_name,
    logicalVolume: row.lv_name,
    type: row.segtype,
    devices: row.devices.map(withoutOffset),
    /** The unit in which a thin pool gives space; 0 for others. */
    chunkSizeBytes: Number(row.chunk_size),
    /** Of its whole volume, what is taken: by a thin one of its pool, of a pool by its volumes. undefined: LVM cannot tell. */
    dataPercent: row.data_percent === '' ? undefined : Number(row.data_percent),
  }));

export type VolumeGroup = z.infer<typeof volumeGroupRow>;
export type PhysicalVolume = z.infer<typeof physicalVolumeRow>;
export type LogicalVolume = z.infer<typeof logicalVolumeRow>;
export type Segment = z.infer<typeof segmentRow>;

export const parseVolumeGroups = (json: string): VolumeGroup[] => parseReport(json, 'vg', volumeGroupRow);
export const parsePhysicalVolumes = (json: string): PhysicalVolume[] => parseReport(json, 'pv', physicalVolumeRow);
export const parseLogicalVolumes = (json: string): LogicalVolume[] => parseReport(json, 'lv', logicalVolumeRow);
/** One row for each segment: a volume of several segments comes several times. */
export const parseSegments = (json: string): Segment[] => parseReport(json, 'seg', segmentRow);

export async function listVolumeGroups(host: Host): Promise<VolumeGroup[]> {
  return parseVolumeGroups(await report(host, 'vgs', 'vg_name,vg_size,vg_free,vg_extent_size'));
}

export async function listPhysicalVolumes(host: Host): Promise<PhysicalVolume[]> {
  return parsePhysicalVolumes(await report(host, 'pvs', 'pv_name,vg_name,pv_size,pv_missing'));
}

/** Without a volume group: those of all groups. */
export async function listLogicalVolumes(host: Host, volumeGroup?: string): Promise<LogicalVolume[]> {
  const fields = 'vg_name,lv_name,lv_uuid,lv_size,lv_attr,lv_tags,lv_active,lv_device_open,pool_lv,origin';
  return parseLogicalVolumes(await report(host, 'lvs', fields, ...selectGroup(volumeGroup)));
}

export async function listSegments(host: Host, volumeGroup?: string): Promise<Segment[]> {
  return parseSegments(
    await report(host, 'lvs', 'vg_name,lv_name,segtype,devices,chunk_size,data_percent', '--segments', ...selectGroup(volumeGroup)),
  );
}

async function report(host: Host, program: string, fields: string, ...selection: string[]): Promise<string> {
  const args = ['--reportformat', 'json', '--units', 'b', '--nosuffix', '-o', fields, ...selection];
  return (await host.run(program, args)).stdout;
}

const selectGroup = (volumeGroup: string | undefined): string[] =>
  volumeGroup === undefined ? [] : ['--select', `vg_name="${volumeGroup}"`];

/** @throws where LVM's answer has another shape than its JSON reports had from 2.02.158 (the first) to 2.03.16. */
function parseReport<Row extends z.ZodType>(json: string, kind: string, row: Row): z.infer<Row>[] {
  const { report } = z.object({ report: z.array(z.record(z.string(), z.unknown())) }).parse(JSON.parse(json));
  return report.flatMap((part) => z.array(row).parse(part[kind] ?? []));
}

/** `/dev/vda(512)` names the extent at which the segment begins. */
function withoutOffset(device: string): string {
  return device.replace(/\(\d+\)$/, '');
}
