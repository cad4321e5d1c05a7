/** LVM's default extent: sizes of logical volumes are multiples of it. */
const EXTENT_BYTES = 4 * 2 ** 20;

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
};

/** @param size a whole quantity of Kubernetes, `256Mi`. @returns bytes, rounded up to extents. @throws where it is not one. */
export function volumeBytes(size: string): number {
  const [, digits, unit = ''] = /^(\d+)([a-zA-Z]*)$/.exec(size) ?? [];
  const bytes = Number(digits) * (UNITS[unit] ?? Number.NaN);
  if (!Number.isSafeInteger(bytes) || bytes <= 0) throw new Error(`size ${size} is no quantity: write it as 256Mi or 1Gi`);
  return Math.ceil(bytes / EXTENT_BYTES) * EXTENT_BYTES;
}
