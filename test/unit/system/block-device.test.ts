import { expect, test } from 'vitest';
import { parseBlockStatistics } from '../../../system/block-device.ts';

test('sectors written are field 7 of a device, sectors discarded field 14', () => {
  const stat =
    '     101        2     3003        4      105       6    11704        8        0      110      111        5       13   524290       15        0        0\n';
  expect(parseBlockStatistics(stat)).toEqual({ writtenSectors: 11704, discardedSectors: 524290 });
});

test.each(['', '1 2 3', 'a b c d e f g h i j k l m n'])('statistics "%s" are refused', (text) => {
  expect(() => parseBlockStatistics(text)).toThrow('not the statistics of a block device');
});
