import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allocatedAtLeast, allocatedAtMost, bytesOfCopy } from '../../../core/domain/thin-space.ts';

const KiB = 2 ** 10;
const MiB = 2 ** 20;

describe('a copy takes of its pool', () => {
  const volume = (allocatedMiB: number, chunkKiB: number) => ({
    pool: 'tp',
    allocatedBytes: allocatedMiB * MiB,
    chunkBytes: chunkKiB * KiB,
  });

  test.each<[string, number, number, number | undefined, number]>([
    ['as much as the volume has, in chunks of the same size', 10, 64, 64, 10],
    ['as much, in smaller chunks', 10, 512, 64, 10],
    ['a larger chunk for each', 10, 64, 256, 40],
    ['never more than its size', 90, 64, 1024, 100],
    ['its whole size, in chunks larger than what DRBD asks for at once', 10, 64, 2048, 100],
    ['its whole size, in chunks of which DRBD cannot ask for one', 10, 64, 192, 100],
    ['one chunk more for each that lies across', 12, 192, 128, 16],
    ['its whole size, where nobody has said how large the chunks are', 10, 64, undefined, 100],
  ])('%s', (_, allocatedMiB, chunkKiB, targetChunkKiB, expectedMiB) => {
    const target = targetChunkKiB === undefined ? undefined : targetChunkKiB * KiB;
    const expected = Math.ceil((expectedMiB * MiB) / (target ?? 1)) * (target ?? 1);
    expect(bytesOfCopy(volume(allocatedMiB, chunkKiB), 100 * MiB, target)).toBe(expected);
  });

  test('never less than the chunks that hold its data, wherever they lie', () => {
    const UNIT = 64 * KiB;
    const cases = fc.record({
      source: fc.integer({ min: 1, max: 6 }),
      target: fc.constantFrom(1, 2, 4, 8, 16),
      units: fc.integer({ min: 1, max: 200 }),
      taken: fc.array(fc.nat(), { maxLength: 20 }),
    });
    fc.assert(
      fc.property(cases, ({ source, target, units, taken }) => {
        const chunks = new Set(taken.map((place) => place % Math.ceil(units / source)));
        const touched = new Set<number>();
        for (const chunk of chunks) {
          const end = Math.min((chunk + 1) * source, units);
          for (let unit = chunk * source; unit < end; unit += 1) touched.add(Math.floor(unit / target));
        }
        const asked = { pool: 'tp', allocatedBytes: Math.min(units, chunks.size * source) * UNIT, chunkBytes: source * UNIT };
        expect(bytesOfCopy(asked, units * UNIT, target * UNIT)).toBeGreaterThanOrEqual(touched.size * target * UNIT);
      }),
    );
  });
});

test('a percentage of two decimals stands for no less than it may mean at least, and no more than at most', () => {
  const cases = fc.record({ size: fc.integer({ min: 1, max: 2 ** 44 }), share: fc.double({ min: 0, max: 1, noNaN: true }) });
  fc.assert(
    fc.property(cases, ({ size, share }) => {
      const bytes = Math.floor(size * share);
      const percent = Number(((bytes / size) * 100).toFixed(2));
      expect(allocatedAtLeast(size, percent)).toBeLessThanOrEqual(bytes);
      expect(allocatedAtMost(size, percent)).toBeGreaterThanOrEqual(bytes);
      expect(allocatedAtMost(size, percent)).toBeLessThanOrEqual(size);
    }),
  );
});
