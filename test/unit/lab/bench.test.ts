import { describe, expect, test } from 'vitest';
import { parseResyncs } from '../../../lab/bench/kernel-log.ts';
import { parseAnswer } from '../../../lab/bench/raw-copy.ts';
import { replaceSection, table } from '../../../lab/bench/report.ts';
import { median, percentile } from '../../../lab/bench/statistics.ts';
import { ratioOf, syncReport } from '../../../lab/bench/sync.ts';
import { secondsAfter, triggerReport } from '../../../lab/bench/trigger.ts';

const MiB = 2 ** 20;

describe('the figures of several runs', () => {
  test.each([
    [[5], 5],
    [[9, 1, 5], 5],
    [[10, 2, 4, 3], 3.5],
  ])('have %j the median %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  test.each([
    [50, 50],
    [99, 99],
    [100, 100],
    [0.5, 1],
  ])('have the percentile %d', (percent, expected) => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentile(values, percent)).toBe(expected);
  });

  test('are none where nothing was measured', () => {
    expect(() => median([])).toThrow('nothing was measured');
    expect(() => percentile([], 50)).toThrow('nothing was measured');
  });
});

describe('the kernel log', () => {
  const line = (seconds: number, message: string, minor = 20000) => `[${seconds.toFixed(6).padStart(13)}] block drbd${minor}: ${message}`;

  test('tells when a paused sync went on and when it was done', () => {
    const log = [
      '[   99.000001] drbd data_rehome: conn( WFConnection -> WFReportParams ) ',
      line(100, 'Began resync as PausedSyncS (will sync 16384 KB [4096 bits set]).'),
      line(100.5, 'conn( PausedSyncS -> SyncSource ) user_isp( 1 -> 0 ) '),
      line(100.6, 'Syncer continues.'),
      line(103.1, 'Resync done (total 2 sec; paused 0 sec; 8192 K/sec)'),
      line(103.2, 'conn( SyncSource -> Connected ) pdsk( Inconsistent -> UpToDate ) '),
      line(110, 'Online verify done (total 1 sec; paused 0 sec; 16384 K/sec)'),
    ].join('\n');
    expect(parseResyncs(log)).toEqual([{ kib: 16384, beganAt: 100.6, endedAt: 103.1 }]);
  });

  test('tells several minors apart', () => {
    const log = [
      line(1, 'Began resync as SyncSource (will sync 100 KB [25 bits set]).', 20000),
      line(2, 'Began resync as SyncSource (will sync 200 KB [50 bits set]).', 20001),
      line(3, 'Resync done (total 1 sec; paused 0 sec; 100 K/sec)', 20001),
      line(4, 'Resync done (total 3 sec; paused 0 sec; 33 K/sec)', 20000),
    ].join('\n');
    expect(parseResyncs(log)).toEqual([
      { kib: 200, beganAt: 2, endedAt: 3 },
      { kib: 100, beganAt: 1, endedAt: 4 },
    ]);
  });

  test('shows of a sync that was cut in two only what the second part copied', () => {
    const log = [
      line(1, 'Began resync as SyncSource (will sync 100 KB [25 bits set]).'),
      line(5, 'Began resync as SyncSource (will sync 40 KB [10 bits set]).'),
      line(6, 'Resync done (total 1 sec; paused 0 sec; 40 K/sec)'),
    ].join('\n');
    expect(parseResyncs(log)).toEqual([{ kib: 40, beganAt: 5, endedAt: 6 }]);
  });

  test('has nothing of a sync of which the node is the target', () => {
    const log = [
      line(1, 'Began resync as SyncTarget (will sync 100 KB [25 bits set]).'),
      line(2, 'Resync done (total 1 sec; paused 0 sec; 100 K/sec)'),
    ].join('\n');
    expect(parseResyncs(log)).toEqual([]);
  });

  test('is read of DRBD 9 too', () => {
    const log = [
      '[   10.000000] drbd data_rehome/0 drbd20000 target: Began resync as SyncSource (will sync 100 KB [25 bits set]).',
      '[   11.500000] drbd data_rehome/0 drbd20000 target: Resync done (total 1 sec; paused 0 sec; 100 K/sec)',
    ].join('\n');
    expect(parseResyncs(log)).toEqual([{ kib: 100, beganAt: 10, endedAt: 11.5 }]);
  });
});

describe('the answer of a raw copy', () => {
  test('says how long it took', () => {
    const answer = '120.10 126.35 536870912 bytes (537 MB, 512 MiB) copied, 6.24 s, 86.0 MB/s\n';
    expect(parseAnswer(answer, 512 * MiB)).toBeCloseTo(6.25);
  });

  test.each([
    ['that ended early', '120.10 121.35 1048576 bytes (1.0 MB, 1.0 MiB) copied, 1.2 s, 0.8 MB/s\n'],
    ['that failed', ''],
  ])('is refused of one %s', (_, answer) => {
    expect(() => parseAnswer(answer, 512 * MiB)).toThrow('raw copy of 536870912 bytes');
  });
});

describe('the report', () => {
  test('is a table whose columns are as wide as their widest cell', () => {
    const text = table([
      ['run', 'rate'],
      ['1', '100.0 MiB/s'],
    ]);
    expect(text).toBe('| run | rate        |\n| --- | ----------- |\n| 1   | 100.0 MiB/s |');
  });

  test('replaces its own section of the document and leaves the others', () => {
    const document =
      'a\n<!-- bench sync -->\n\nold\n\n<!-- end of bench sync -->\nb\n<!-- bench trigger -->\n\nkept\n\n<!-- end of bench trigger -->\n';
    const written = replaceSection(document, 'sync', 'new');
    expect(written).toBe(document.replace('old', 'new'));
    expect(replaceSection(written, 'sync', 'new')).toBe(written);
  });

  test('is not written where its section is missing', () => {
    expect(() => replaceSection('nothing', 'sync', 'new')).toThrow('<!-- bench sync -->');
  });

  test('of a sync holds the medians against each other, not the mean of the ratios', () => {
    const pairs = [
      { raw: 100 * MiB, sync: 150 * MiB },
      { raw: 90 * MiB, sync: 160 * MiB },
      { raw: 50 * MiB, sync: 155 * MiB },
    ];
    expect(ratioOf(pairs)).toBeCloseTo(155 / 90);
    const window = { name: 'during the sync', microseconds: [1000, 2500], p50: 1000, p99: 2500 };
    const latencies = [{ moved: 'another volume of the node', windows: [window] }];
    const text = syncReport({ options: { pairs: 3, bytes: 512 * MiB }, mode: 'direct', pairs, latencies });
    expect(text).toMatch(/\| median \| 90\.0 MiB\/s +\| 155\.0 MiB\/s \| 1\.72 /);
    expect(text).toMatch(/\| during the sync +\| 2 +\| 1\.0 ms \| 2\.5 ms \|/);
  });

  test('of a trigger names median and maximum', () => {
    const reaction = (firstByte: number) => ({ eviction: 0.1, migration: 0.2, firstByte });
    const text = triggerReport([reaction(3), reaction(5), reaction(4)]);
    expect(text).toMatch(/\| the first byte is synced +\| 3\.00 s \| 5\.00 s \| 4\.00 s \| 4\.00 s \| 5\.00 s \|/);
  });

  test('has no time of what began before the cordon', () => {
    expect(secondsAfter(1000, { eviction: 1100, migration: 1200, firstByte: 4000 })).toEqual({
      eviction: 0.1,
      migration: 0.2,
      firstByte: 3,
    });
    expect(() => secondsAfter(1000, { eviction: 900, migration: 1200, firstByte: 4000 })).toThrow('eviction began 100 ms before');
  });
});
