/** Rows as lvs prints them in JSON. */
import { DISK, POOL } from './fake-node.ts';

export const row = (name: string, sizeBytes: number, more: object) => ({
  vg_name: POOL,
  lv_name: name,
  lv_uuid: '',
  lv_size: String(sizeBytes),
  lv_attr: '-wi-a-----',
  lv_tags: '',
  lv_active: '',
  lv_device_open: '',
  pool_lv: '',
  origin: '',
  ...more,
});

export const segment = (name: string, segtype: string, dataPercent: number | undefined, chunkBytes = 0) => ({
  vg_name: POOL,
  lv_name: name,
  segtype,
  devices: `${DISK}(0)`,
  chunk_size: String(chunkBytes),
  data_percent: dataPercent?.toFixed(2) ?? '',
});
