import { describe, expect, test } from 'vitest';
import { DEFAULT_SYNC_SETTINGS } from '../../../core/contracts/sync-settings.ts';
import { createDrbd9 } from '../../../system/drbd/drbd9.ts';
import { parsePeers } from '../../../system/drbd/events2.ts';
import type { MirrorDriver, MirrorPair } from '../../../system/drbd/mirror-driver.ts';
import { parseStatusJson } from '../../../system/drbd/status-json.ts';
import type { KernelLogRecord } from '../../../system/kernel-log.ts';
import { fixture } from './fixture.ts';
import { type Answer, recordingHost } from './recording-host.ts';

const pair: MirrorPair = {
  resource: 'p',
  minor: 1,
  role: 'source',
  local: { address: '10.77.0.1', port: 7001 },
  peer: { address: '10.77.0.2', port: 7001 },
};
const target: MirrorPair = { ...pair, role: 'target', local: pair.peer, peer: pair.local };

const NOTHING_THERE = 'exists -\n';
const UNPAUSED = { paused: false };

/** The commands a driver runs on a node whose events2 says this. */
async function commandsOf(
  act: (driver: MirrorDriver) => Promise<unknown>,
  answer: (line: string) => Answer = () => ({}),
  events2 = NOTHING_THERE,
) {
  const { host, commands } = recordingHost((line) => (line.includes('events2') ? { stdout: events2 } : answer(line)));
  await act(createDrbd9(host, DEFAULT_SYNC_SETTINGS));
  return commands.map((command) => command.join(' ')).filter((line) => !line.includes('events2'));
}

describe('a command of DRBD 9', () => {
  test.each<[string, (driver: MirrorDriver) => Promise<void>, string]>([
    [
      'writes metadata for one peer',
      (d) => d.writeMetadata(1, '/dev/vg/p_md'),
      'drbdmeta --force 1 v09 /dev/vg/p_md flex-external create-md 1',
    ],
    [
      'replays the activity log',
      (d) => d.applyActivityLog(1, '/dev/vg/p_md'),
      'drbdmeta --force 1 v09 /dev/vg/p_md flex-external apply-al',
    ],
    [
      'makes a source that nobody promotes by opening it',
      (d) => d.createResource(pair),
      'drbdsetup new-resource p 0 --auto-promote=no --quorum=off',
    ],
    ['makes a target', (d) => d.createResource(target), 'drbdsetup new-resource p 1 --auto-promote=no --quorum=off'],
    ['makes the minor', (d) => d.createMinor(pair), 'drbdsetup new-minor p 1 0'],
    [
      'attaches without options of the sync',
      (d) => d.attach(pair, { data: '/dev/mapper/p-back', metadata: '/dev/vg/p_md' }),
      'drbdsetup attach 1 /dev/mapper/p-back /dev/vg/p_md flexible',
    ],
    ['promotes the resource', (d) => d.promoteByForce(pair), 'drbdsetup primary p --force'],
    ['resumes the sync to the target', (d) => d.resumeSync(pair), 'drbdsetup resume-sync p 1 0'],
    ['verifies from the first sector', (d) => d.startVerify(pair), 'drbdsetup verify p 1 0 --start=0'],
    [
      'verifies a range alone',
      (d) => d.startVerify(pair, { startSector: 540_136, sectors: 88 }),
      'drbdsetup verify p 1 0 --start=540136 --stop=540224',
    ],
    ['disconnects from the target', (d) => d.disconnect(pair), 'drbdsetup disconnect p 1 --force'],
    ['disconnects from the source', (d) => d.disconnect(target), 'drbdsetup disconnect p 0 --force'],
    ['takes the resource down', (d) => d.down('p'), 'drbdsetup down p'],
  ])('%s', async (_, act, expected) => {
    expect(await commandsOf(act)).toEqual([expected]);
  });

  test.each<[string, (driver: MirrorDriver) => Promise<void>, string]>([
    ['resumes a sync that is not paused', (d) => d.resumeSync(pair), '(135) Sync-pause flag is already cleared'],
    [
      'disconnects from a peer that it was never told of',
      (d) => d.disconnect(pair),
      '(162) Invalid configuration request\nunknown connection',
    ],
  ])('%s without complaint', async (_, act, stderr) => {
    await commandsOf(act, () => ({ exitCode: 10, stderr }));
  });
});

const CONTROLLER = '--c-plan-ahead=20 --c-max-rate=4000000 --c-fill-target=20480 --resync-rate=102400 --c-min-rate=10240';
const NET =
  '--protocol=C --max-buffers=8000 --sndbuf-size=4194304 --rcvbuf-size=4194304 --connect-int=1 --ping-int=1 --ping-timeout=10 --socket-check-timeout=1 --timeout=10 --ko-count=2 --verify-alg=crc32c --cram-hmac-alg=sha256';

describe('connecting', () => {
  test('tells of a peer that is not known: who, by which addresses, how fast', async () => {
    expect(await commandsOf((driver) => driver.connect(target, 's', UNPAUSED))).toEqual([
      `drbdsetup new-peer p 0 --_name=source ${NET} --shared-secret=s`,
      'drbdsetup new-path p 0 ipv4:10.77.0.2:7001 ipv4:10.77.0.1:7001',
      `drbdsetup peer-device-options p 0 0 ${CONTROLLER}`,
      'drbdsetup connect p 0',
    ]);
  });

  test('pauses the sync after the peer is known and before it is connected, also where it is paused already', async () => {
    const lines = await commandsOf(
      (driver) => driver.connect(pair, 's', { paused: true }),
      (line) => (line.includes('pause-sync') ? { exitCode: 10, stderr: '(134) Sync-pause flag is already set' } : {}),
    );
    expect(lines.map((line) => line.split(' ')[1])).toEqual(['new-peer', 'new-path', 'peer-device-options', 'pause-sync', 'connect']);
    expect(lines[3]).toBe('drbdsetup pause-sync p 1 0');
  });

  test('limits the rate of a sync that runs, and nothing else of it', async () => {
    expect(await commandsOf((driver) => driver.limitRate(target, 2 * 2 ** 20))).toEqual([
      'drbdsetup peer-device-options p 0 0 --c-max-rate=2048',
    ]);
  });

  test('again with a peer that is known keeps it, and what was said of it', async () => {
    const lines = await commandsOf((driver) => driver.connect(pair, 's', UNPAUSED), undefined, fixture('drbd9-events2-standalone.txt'));
    expect(lines).toEqual([
      'drbdsetup net-options p 1 --shared-secret=s',
      `drbdsetup peer-device-options p 1 0 ${CONTROLLER}`,
      'drbdsetup connect p 1',
    ]);
  });

  test('with a peer that has moved to another port takes it there', async () => {
    const moved = { ...pair, peer: { ...pair.peer, port: 7002 } };
    const lines = await commandsOf((driver) => driver.connect(moved, 's', UNPAUSED), undefined, fixture('drbd9-events2-standalone.txt'));
    expect(lines.slice(0, 3)).toEqual([
      'drbdsetup del-path p 1 ipv4:10.77.0.1:7001 ipv4:10.77.0.2:7001',
      'drbdsetup new-path p 1 ipv4:10.77.0.1:7001 ipv4:10.77.0.2:7002',
      'drbdsetup net-options p 1 --shared-secret=s',
    ]);
  });

  test('with a peer of a step that was broken off adds what is missing', async () => {
    const withoutPath = fixture('drbd9-events2-standalone.txt').replace(/exists path.*\n/, '');
    const lines = await commandsOf((driver) => driver.connect(pair, 's', UNPAUSED), undefined, withoutPath);
    expect(lines[0]).toBe('drbdsetup new-path p 1 ipv4:10.77.0.1:7001 ipv4:10.77.0.2:7001');
  });

  test.each([NOTHING_THERE, fixture('drbd9-events2-standalone.txt')])('keeps the secret from errors', async (events2) => {
    const refused = commandsOf(
      (driver) => driver.connect(pair, 'hunter2', UNPAUSED),
      () => ({ exitCode: 10, stderr: '(102) Local address(port) already in use. hunter2' }),
      events2,
    );
    await expect(refused).rejects.toThrow('already in use');
    await expect(refused).rejects.not.toThrow('hunter2');
  });
});

describe('a repair', () => {
  test('sends only what differs', async () => {
    expect(await commandsOf((driver) => driver.repair(pair, 's'))).toEqual(['drbdsetup invalidate-remote p 1 0 --reset-bitmap=no']);
  });

  test('of a pair with 8.4 sends everything', async () => {
    const lines = await commandsOf(
      (driver) => driver.repair(pair, 's'),
      (line) =>
        line.includes('--reset-bitmap') ? { exitCode: 10, stderr: '(175) Need protocol level 120 to initiate bitmap based resync' } : {},
    );
    expect(lines.at(-1)).toBe('drbdsetup invalidate-remote p 1 0');
  });

  test('that is refused otherwise fails', async () => {
    const refused = commandsOf(
      (driver) => driver.repair(pair, 's'),
      () => ({ exitCode: 11, stderr: 'State change failed: (-8) Can not start OV/resync since it is already active' }),
    );
    await expect(refused).rejects.toThrow('already active');
  });
});

describe('status as JSON', () => {
  const observed = (name: string) => {
    const { host, commands } = recordingHost(() => ({ stdout: fixture(name) }));
    return { driver: createDrbd9(host, DEFAULT_SYNC_SETTINGS), commands };
  };

  test('tells how far a sync is', async () => {
    const { driver, commands } = observed('drbd9-status-syncing.txt');
    expect(await driver.observe()).toEqual([
      {
        resource: 'p',
        minor: 1,
        state: {
          role: 'Primary',
          disk: 'UpToDate',
          connection: 'Connected',
          replication: 'SyncSource',
          peerDisk: 'Inconsistent',
          outOfSyncKib: 293_892,
          readKib: 33_792,
          position: { leftKib: 293_892, totalKib: 327_684, kibPerSecond: 41_206 },
        },
      },
    ]);
    expect(commands).toEqual([['drbdsetup', 'status', '--json', '--statistics']]);
  });

  test('tells how far a verify is', async () => {
    expect(await observed('drbd9-status-verifying.txt').driver.observeMinor(1)).toMatchObject({
      replication: 'VerifyS',
      outOfSyncKib: 0,
      position: { leftKib: 290_576, totalKib: 327_680, kibPerSecond: 17_275 },
    });
  });

  test.each([
    ['drbd9-status-established.txt', { connection: 'Connected', replication: 'Established', peerDisk: 'UpToDate', outOfSyncKib: 0 }],
    ['drbd9-status-standalone.txt', { connection: 'StandAlone', replication: 'Off', peerDisk: 'DUnknown', outOfSyncKib: 20 }],
  ])('of %s is known without a position', async (name, expected) => {
    const state = await observed(name).driver.observeMinor(1);
    expect(state).toMatchObject(expected);
    expect(state).not.toHaveProperty('position');
  });

  test('of a resource without a peer says that nothing is in sync', async () => {
    const [resource] = JSON.parse(fixture('drbd9-status-syncing.txt')) as [object];
    const { host } = recordingHost(() => ({ stdout: JSON.stringify([{ ...resource, connections: [] }]) }));
    const state = await createDrbd9(host, DEFAULT_SYNC_SETTINGS).observeMinor(1);
    expect(state).toMatchObject({ connection: 'StandAlone', replication: 'Off', peerDisk: 'DUnknown', outOfSyncKib: 327_680 });
  });

  test('of a resource without a device names it alone', async () => {
    const [resource] = JSON.parse(fixture('drbd9-status-syncing.txt')) as [object];
    const { host } = recordingHost(() => ({ stdout: JSON.stringify([{ ...resource, devices: [], connections: [] }]) }));
    expect(await createDrbd9(host, DEFAULT_SYNC_SETTINGS).observe()).toEqual([{ resource: 'p' }]);
  });

  test('knows every minor, of resources with several devices and peers too, and none that is not there', async () => {
    const [resource] = JSON.parse(fixture('drbd9-status-established.txt')) as [{ devices: object[]; connections: object[] }];
    const others = { ...resource, name: 'theirs', devices: [2, 3].map((minor, volume) => ({ ...resource.devices[0], minor, volume })) };
    const { host } = recordingHost(() => ({ stdout: JSON.stringify([resource, others]) }));
    const driver = createDrbd9(host, DEFAULT_SYNC_SETTINGS);
    expect(await driver.listMinors()).toEqual([1, 2, 3]);
    expect(await driver.observeMinor(4)).toBeUndefined();
  });

  test('of a kernel without resources is empty', () => {
    expect(parseStatusJson('[\n]\n\n')).toEqual([]);
  });

  test('that was cut off is not taken for an answer', () => {
    expect(() => parseStatusJson(fixture('drbd9-status-syncing.txt').slice(0, -20))).toThrow();
  });
});

test('the peers of a resource and their addresses are read from events2', () => {
  const path = { local: 'ipv4:10.77.0.1:7001', peer: 'ipv4:10.77.0.2:7001' };
  expect(parsePeers(fixture('drbd9-events2-syncing.txt'))).toEqual([{ resource: 'p', nodeId: 1, paths: [path] }]);
  expect(parsePeers(fixture('events2-standalone.txt').replace(/exists connection.*\n/, ''))).toEqual([]);
  expect(() => parsePeers('exists connection name:p peer-node-id:1\n')).toThrow('cut off');
});

test('what a verify skipped is read from the log of the kernel', async () => {
  const line = 'drbd p/0 drbd1 target: Skipped verify, too busy: start=540136, size=88 (sectors)';
  const done = 'drbd p/0 drbd1 target: Online verify done but 11 4k blocks skipped (total 16 sec; paused 0 sec; 32768 K/sec)';
  const log: KernelLogRecord[] = [line, done].map((text, index) => ({ sequence: 7 + index, text }));
  const { host } = recordingHost(undefined, {}, log);
  const driver = createDrbd9(host, DEFAULT_SYNC_SETTINGS);
  expect(await driver.skippedByVerify(pair)).toEqual([{ startSector: 540_136, sectors: 88 }]);
  expect(await driver.verifyLogPosition()).toBe(9);
  expect(await driver.skippedByVerify(pair, 9)).toBe('unknown');
});
