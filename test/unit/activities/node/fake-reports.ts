/** Rows as `lvs --segments` prints them in JSON. */
import { POOL } from './fake-node.ts';

export const row = (name: string, sizeBytes: number, more: object) => ({
  vg_name: POOL,
  vg_extent_size: '1',
  lv_name: name,
  lv_uuid: name,
  lv_size: String(sizeBytes),
  lv_tags: '',
  pool_lv: '',
  origin: '',
  segtype: 'linear',
  chunk_size: '0',
  data_percent: '',
  lv_health_status: '',
  ...more,
});

export const inPercent = (percent: number | undefined): string => percent?.toFixed(2) ?? '';
