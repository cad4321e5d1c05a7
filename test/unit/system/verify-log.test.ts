import { describe, expect, test } from 'vitest';
import { logPosition, skippedByVerify } from '../../../system/drbd/verify-log.ts';
import { parseKernelLogRecord } from '../../../system/kernel-log.ts';

const MINOR = 20_000;
const by = (message: string, minor = MINOR): string => `drbd data_rehome/0 drbd${minor} target: ${message}`;
const begun = by('Starting Online Verify from sector 0');
const done = by('Online verify done (total 16 sec; paused 0 sec; 32768 K/sec)');
const doneBut = (blocks: number): string =>
  by(`Online verify done but ${blocks} 4k blocks skipped (total 16 sec; paused 0 sec; 32768 K/sec)`);
const skipped = (start: number, size: number): string => by(`Skipped verify, too busy: start=${start}, size=${size} (sectors)`);
const noise = 'virtio_net virtio2 eth0: link up';

const log = (...lines: string[]) => lines.map((text, index) => ({ sequence: 100 + index, text }));

describe('of a verify that this end has begun', () => {
  test.each<[string, string[], unknown]>([
    ['nothing was skipped', [noise, begun, noise, done], []],
    [
      'each range is known',
      [begun, skipped(301_288, 16), noise, skipped(8, 8), doneBut(3)],
      [
        { startSector: 301_288, sectors: 16 },
        { startSector: 8, sectors: 8 },
      ],
    ],
    ['what an earlier one skipped does not count', [begun, skipped(0, 8), doneBut(1), begun, done], []],
    ['what another mirror skipped does not count', [begun, by('Skipped verify, too busy: start=0, size=8 (sectors)', 2), done], []],
    ['one whose beginning the log has forgotten is known by its end', [noise, done], []],
    ['ranges that the log has forgotten are missed', [skipped(301_288, 16), doneBut(3)], 'unknown'],
    ['one that has not ended says nothing', [begun, noise], 'unknown'],
    ['an earlier one that has ended says nothing of it', [begun, done, begun], 'unknown'],
    ['one that was broken off says nothing', [begun, by('Online Verify reached sector 64064')], 'unknown'],
    ['a log that is empty says nothing', [], 'unknown'],
    [
      'a line that names no minor counts as its own',
      [begun, 'Skipped verify, too busy: start=16, size=8 (sectors)', doneBut(1)],
      [{ startSector: 16, sectors: 8 }],
    ],
  ])('%s', (_, lines, expected) => {
    expect(skippedByVerify(log(...lines), MINOR)).toEqual(expected);
  });
});

describe('of a verify that the other end has begun', () => {
  const earlier = log(begun, skipped(0, 8), doneBut(1));
  const position = logPosition(earlier);

  test('counts what comes after the position', () => {
    expect(position).toBe(103);
    expect(skippedByVerify(log(begun, skipped(0, 8), doneBut(1), skipped(8, 8), doneBut(1)), MINOR, position)).toEqual([
      { startSector: 8, sectors: 8 },
    ]);
  });

  test('nothing is known without its end', () => {
    expect(skippedByVerify(earlier, MINOR, position)).toBe('unknown');
  });

  test('nothing is known where the last range was not printed any more', () => {
    expect(skippedByVerify(log(begun, noise, noise, skipped(8, 8), doneBut(2)), MINOR, position)).toBe('unknown');
  });

  test('the first record is the position of an empty log', () => {
    expect(logPosition([])).toBe(0);
  });
});

describe('a record of the kernel', () => {
  test('has a number and a text, and no more', () => {
    const record = '6,1234,98765432,-;drbd p/0 drbd1 n2: Skipped verify\n SUBSYSTEM=block\n DEVICE=b147:1\n';
    expect(parseKernelLogRecord(record)).toEqual({ sequence: 1234, text: 'drbd p/0 drbd1 n2: Skipped verify' });
  });

  test('may name who wrote it', () => {
    expect(parseKernelLogRecord('12,5,3,-,caller=T1;x;y\n')).toEqual({ sequence: 5, text: 'x;y' });
  });

  test('that is none is refused', () => {
    expect(() => parseKernelLogRecord('a line of another log\n')).toThrow("not a record of the kernel's log");
  });
});
