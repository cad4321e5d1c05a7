/**
 * Everything LVM knows of this node, from one look.
 *
 * `lvm fullreport` reads each volume group once, so that its free bytes and its list of volumes belong together: of two commands the one may know a
 * volume that the other does not, and room would be counted twice or not at all. It also costs a quarter of the four commands it stands for.
 */
import { z } from 'zod';
import type { Host } from '../host.ts';

const bytes = z.string().regex(/^\d+$/).transform(Number);
/** Empty where it is not known: of an inactive volume. */
const percent = z.string().transform(Number);
/** Empty, or 0, where there is none. */
const count = z.string().transform(Number);

const partSchema = z.object({
  vg: z.array(z.object({ vg_name: z.string(), vg_size: bytes, vg_free: bytes })).default([]),
  pv: z.array(z.object({ pv_name: z.string(), pv_size: bytes, pv_missing: z.enum(['', 'missing']) })).default([]),
  lv: z
    .array(
      z.object({
        lv_name: z.string(),
        lv_size: bytes,
        lv_tags: z.string(),
        lv_active: z.string(),
        lv_device_open: z.string(),
        pool_lv: z.string(),
        lv_metadata_size: z.string(),
        data_percent: percent,
        metadata_percent: percent,
      }),
    )
    .default([]),
  seg: z.array(z.object({ lv_name: z.string(), segtype: z.string(), devices: z.string(), chunk_size: count })).default([]),
});
type Part = z.infer<typeof partSchema>;

const FIELDS: Readonly<Record<'vg' | 'pv' | 'lv' | 'seg' | 'pvseg', string>> = {
  vg: 'vg_name,vg_size,vg_free',
  pv: 'pv_name,pv_size,pv_missing',
  lv: 'lv_name,lv_size,lv_tags,lv_active,lv_device_open,pool_lv,lv_metadata_size,data_percent,metadata_percent',
  seg: 'lv_name,segtype,devices,chunk_size',
  // Cannot be left out: kept as short as it can be.
  pvseg: 'pv_name',
};

export type FullReport = ReturnType<typeof parseFullReport>;

export async function readFullReport(host: Host): Promise<FullReport> {
  const fields = Object.entries(FIELDS).flatMap(([kind, names]) => ['--configreport', kind, '-o', names]);
  const { stdout } = await host.run('lvm', ['fullreport', '--reportformat', 'json', '--units', 'b', '--nosuffix', ...fields]);
  return parseFullReport(stdout);
}

/** @throws where LVM's answer has another shape than recorded from 2.03.16. */
export function parseFullReport(json: string) {
  const { report } = z.object({ report: z.array(partSchema) }).parse(JSON.parse(json));
  // Each volume group has a part of its own; a last one, without a group, holds the physical volumes that belong to none.
  const parts = report.filter(({ vg }) => vg.length > 0).map((part) => parsePart(part, part.vg[0]!.vg_name));
  return {
    volumeGroups: parts.flatMap(({ volumeGroups }) => volumeGroups),
    physicalVolumes: parts.flatMap(({ physicalVolumes }) => physicalVolumes),
    /** Without thin pools. */
    logicalVolumes: parts.flatMap(({ logicalVolumes }) => logicalVolumes),
    thinPools: parts.flatMap(({ thinPools }) => thinPools),
  };
}

function parsePart({ vg, pv, lv, seg }: Part, volumeGroup: string) {
  const thinPoolSegment = ({ lv_name }: Part['lv'][number]) =>
    seg.find((segment) => segment.lv_name === lv_name && segment.segtype === 'thin-pool');
  return {
    volumeGroups: vg.map((row) => ({ name: row.vg_name, sizeBytes: row.vg_size, freeBytes: row.vg_free })),
    physicalVolumes: pv.map((row) => ({
      device: row.pv_name,
      volumeGroup,
      sizeBytes: row.pv_size,
      missing: row.pv_missing === 'missing',
    })),
    logicalVolumes: lv
      .filter((row) => !thinPoolSegment(row))
      .map((row) => ({
        volumeGroup,
        name: row.lv_name,
        sizeBytes: row.lv_size,
        tags: row.lv_tags === '' ? [] : row.lv_tags.split(','),
        active: row.lv_active === 'active',
        // "unknown" of an inactive volume.
        open: row.lv_device_open === 'open',
        thinPool: row.pool_lv,
        dataPercent: row.data_percent,
        devices: seg.filter(({ lv_name }) => lv_name === row.lv_name).flatMap(({ devices }) => devicesOf(devices)),
      })),
    thinPools: lv.flatMap((row) => {
      const segment = thinPoolSegment(row);
      if (!segment) return [];
      return {
        volumeGroup,
        name: row.lv_name,
        sizeBytes: row.lv_size,
        metadataSizeBytes: Number(row.lv_metadata_size),
        dataPercent: row.data_percent,
        metadataPercent: row.metadata_percent,
        chunkSizeBytes: segment.chunk_size,
      };
    }),
  };
}

/** `/dev/vda(16),/dev/vdb(0)` names the extents at which a segment begins. */
function devicesOf(text: string): string[] {
  return text === '' ? [] : text.split(',').map((device) => device.replace(/\(\d+\)$/, ''));
}
