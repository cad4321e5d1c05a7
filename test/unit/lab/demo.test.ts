import { describe, expect, test } from 'vitest';
import { fillScript, idleVolumes, inWords } from '../../../lab/demo/idle-volumes.ts';
import { LiveTable } from '../../../lab/demo/live-table.ts';
import { type Migration, renderTable, syncInItsMiddle, targetOf, waitForPodsOnly } from '../../../lab/demo/migrations.ts';
import { parseDemoOptions } from '../../../lab/demo/options.ts';
import { ownShareSeconds } from '../../../lab/demo/own-share.ts';
import { Steps } from '../../../lab/index.ts';
import { UsageError } from '../../../lab/usage-error.ts';

describe('the demo', () => {
  const plain = { online: false, chaos: false, volumes: 0, keep: false };

  test.each<[string, string[], object]>([
    ['drains as it does', [], plain],
    ['copies beneath running pods', ['--online'], { ...plain, online: true }],
    [
      'takes all options at once',
      ['--chaos', '--online', '--volumes', '7', '--keep'],
      { ...plain, online: true, chaos: true, volumes: 7, keep: true },
    ],
    ['takes as many volumes as it has time for', ['--volumes=50'], { ...plain, volumes: 50 }],
  ])('%s', (_, args, expected) => {
    expect(parseDemoOptions(args)).toEqual(expected);
  });

  test.each(['51', '-1', '2.5', 'many', ''])('refuses %j volumes', (volumes) => {
    const parse = () => parseDemoOptions([`--volumes=${volumes}`]);
    expect(parse).toThrow(`--volumes ${volumes}: 0 to 50`);
    expect(parse).toThrow(UsageError);
  });

  test.each<[string, string[], string]>([
    ['an option that is none', ['--offline'], "Unknown option '--offline'"],
    ['a number that is missing', ['--volumes'], "Option '--volumes <value>' argument missing"],
    ['what is no option', ['online'], "Unexpected argument 'online'"],
  ])('refuses %s', (_, args, message) => {
    expect(() => parseDemoOptions(args)).toThrow(message);
  });
});

const migration = (volume: string, fields: Partial<Migration> = {}): Migration => ({
  name: `migrate-${volume}`,
  volume,
  target: 'n2',
  phase: 'Syncing',
  message: 'copies to n2',
  percent: undefined,
  bytesPerSecond: undefined,
  etaSeconds: undefined,
  phaseTimes: {},
  sourceSha256: undefined,
  targetSha256: undefined,
  workflowId: `migrate-${volume}`,
  ...fields,
});

describe('a sync is struck in its middle', () => {
  test.each<[string, Partial<Migration>, boolean]>([
    ['with a fifth of it copied', { percent: 20 }, true],
    ['with most of it copied', { percent: 90 }, true],
    ['not before it has begun', {}, false],
    ['not at its beginning', { percent: 19 }, false],
    ['not at its end', { percent: 91 }, false],
    ['not when it is verified', { phase: 'Verifying', percent: 50 }, false],
    ['not without a target', { target: '', percent: 50 }, false],
  ])('%s', (_, fields, struck) => {
    const struckVolume = syncInItsMiddle([migration('waits', { phase: 'Reserving' }), migration('data', fields)])?.volume;
    expect(struckVolume).toBe(struck ? 'data' : undefined);
  });
});

describe('before the pods go nothing is left to be done', () => {
  const proven = { phase: 'AwaitingDetach', message: 'has a proven copy on n2 that is kept alike, and waits for pod default/a to let go' };
  const node = { used: ['a', 'b'], idle: ['c'] };
  const moved = migration('c', { phase: 'Completed' });

  test('when used volumes have their copies and idle ones have moved', () => {
    expect(waitForPodsOnly([migration('a', proven), migration('b', proven), moved], node)).toBe(true);
  });

  test.each<[string, Migration[]]>([
    [
      'no copy is proven yet',
      [migration('a', proven), migration('b', { phase: 'AwaitingDetach', message: 'waits for pod default/b' }), moved],
    ],
    ['a copy is not begun', [migration('a', proven), moved]],
    ['a proof is of a copy that is made anew', [migration('a', proven), migration('b', { ...proven, phase: 'Syncing' }), moved]],
    ['an idle volume is under way', [migration('a', proven), migration('b', proven), migration('c')]],
  ])('but not when %s', (_, migrations) => {
    expect(waitForPodsOnly(migrations, node)).toBe(false);
  });
});

test('the target of a volume that has none is an error', () => {
  expect(targetOf([migration('a')], 'a')).toBe('n2');
  expect(() => targetOf([migration('a', { target: '' })], 'a')).toThrow('no migration of a has a target');
});

test('idle volumes are named in the order in which they are counted', () => {
  expect(inWords(idleVolumes(0))).toBe('archive 16Mi');
  expect(inWords(idleVolumes(12))).toBe('archive 16Mi, 12 more of 8Mi');
  const names = idleVolumes(12).map(({ name }) => name);
  expect(names).toHaveLength(13);
  expect(names.toSorted()).toEqual(names);
});

test('every idle volume has content of its own, from its beginning to its end', () => {
  const volumes = idleVolumes(2);
  const filled = [...fillScript(volumes).matchAll(/if=\/dev\/urandom of=\/dev\/\w+\/(\S+) bs=1M count=(\d+)/g)];
  expect(filled.map(([, name, count]) => ({ name, mebibytes: Number(count) }))).toEqual(volumes);
});

describe('the table', () => {
  const many = Array.from({ length: 30 }, (_, index) => migration(`spare-${10 + index}`));

  test('is whole where it fits, with the cursor beneath it', () => {
    expect(renderTable(many, 160)).toHaveLength(31);
    expect(renderTable(many, 160, 32)).toHaveLength(31);
  });

  test('says what a small terminal does not show', () => {
    const lines = renderTable(many, 160, 31);
    expect(lines).toHaveLength(30);
    expect(lines.at(-2)).toContain('spare-37');
    expect(lines.at(-1)).toBe('and 2 more');
  });

  test.each<[string, Partial<Migration>, RegExp]>([
    ['how fast and how long yet', { percent: 40, bytesPerSecond: 5 * 2 ** 20, etaSeconds: 7 }, /Syncing +40 % +5 MiB\/s +7 s/],
    [
      'that it comes forward, however slowly',
      { percent: 40, bytesPerSecond: 200 * 1024, etaSeconds: 120 },
      /Syncing +40 % +200 KiB\/s +120 s/,
    ],
    ['no rate where none was seen', { percent: 100, bytesPerSecond: 0, etaSeconds: 0 }, /Syncing +100 % +0 s/],
  ])('says of a copy %s', (_, progress, line) => {
    expect(renderTable([migration('a', progress)], 160)[1]).toMatch(line);
  });

  function output(terminal: object): { readonly written: string[]; readonly stream: NodeJS.WriteStream } {
    const written: string[] = [];
    const write = (text: string): void => void written.push(text);
    return { written, stream: { write, ...terminal } as unknown as NodeJS.WriteStream };
  }

  /** It is drawn when it begins and when it is stopped. */
  async function drawn(before: Migration[], after: Migration[], stream: NodeJS.WriteStream): Promise<void> {
    const states = [before, after];
    const table = new LiveTable(async () => states.shift()!, stream);
    table.say('kubectl has said something');
    await table.stop();
  }

  const before = [migration('a'), migration('b', { phase: 'Preparing' })];
  const after = [migration('a', { phase: 'CuttingOver' }), migration('b', { phase: 'Preparing' })];

  test('is drawn anew in place on a terminal', async () => {
    const { written, stream } = output({ isTTY: true, columns: 100, rows: 24 });
    await drawn(before, after, stream);
    expect(written).toEqual([
      'kubectl has said something\n',
      expect.stringMatching(/^VOLUME .*\na .*Syncing.*\nb .*\n$/),
      '\x1b[3A\x1b[J',
      expect.stringMatching(/^VOLUME .*\na .*CuttingOver.*\nb .*\n$/),
    ]);
  });

  test('elsewhere is a line whenever something has changed', async () => {
    const { written, stream } = output({});
    await drawn(before, after, stream);
    expect(written).toEqual([
      'kubectl has said something\n',
      expect.stringMatching(/^VOLUME .*\na .*Syncing.*\nb .*\n$/),
      expect.stringMatching(/^a .*CuttingOver.*\n$/),
    ]);
  });
});

test('steps that are written elsewhere count from the same beginning', () => {
  const [own, other]: [string[], string[]] = [[], []];
  const steps = new Steps((line) => own.push(line), Date.now() - 60_000);
  steps.through((line) => other.push(line)).say('a step');
  expect(own).toEqual([]);
  expect(other).toEqual([expect.stringMatching(/^\[ +60\.\d s\] a step$/)]);
});

describe("Rehome's own share of a move", () => {
  const history = JSON.stringify({
    events: [
      { eventId: '1', eventTime: '2026-01-01T00:00:00Z', activityTaskScheduledEventAttributes: { activityType: { name: 'hashVolume' } } },
      { eventId: '2', eventTime: '2026-01-01T00:00:01Z', activityTaskScheduledEventAttributes: { activityType: { name: 'hashVolume' } } },
      { eventId: '3', eventTime: '2026-01-01T00:00:03Z', activityTaskCompletedEventAttributes: { scheduledEventId: '1' } },
      { eventId: '4', eventTime: '2026-01-01T00:00:04Z', activityTaskCompletedEventAttributes: { scheduledEventId: '2' } },
    ],
  });
  const ends = { RemovingSource: 300_000, Completed: 302_000 };
  const begins = { Pending: 0, Reserving: 1000 };

  test('leaves out the waits, the copy, the verify and the hashes', () => {
    const times = { AwaitingDetach: 2000, Preparing: 100_000, Syncing: 103_000, Verifying: 200_000, CuttingOver: 290_000 };
    expect(ownShareSeconds({ ...begins, ...times, ...ends }, history)).toBe(2 + 3 + 10 + 2 - 4);
  });

  test('leaves out the wait for the pod also where that follows the verify', () => {
    const times = { Preparing: 2000, Syncing: 5000, Verifying: 9000, AwaitingDetach: 20_000, CuttingOver: 290_000 };
    expect(ownShareSeconds({ ...begins, ...times, ...ends }, history)).toBe(2 + 3 + 10 + 2 - 4);
  });

  test('is not known before the move has ended', () => {
    expect(ownShareSeconds({ ...begins, RemovingSource: 300_000 }, history)).toBeUndefined();
  });
});
