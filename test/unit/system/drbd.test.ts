import { describe, expect, test } from 'vitest';
import { DEFAULT_SYNC_SETTINGS } from '../../../core/contracts/sync-settings.ts';
import { createDrbd84 } from '../../../system/drbd/drbd84.ts';
import { parseEvents2 } from '../../../system/drbd/events2.ts';
import { metadataSizeBytes } from '../../../system/drbd/metadata-size.ts';
import type { MirrorPair } from '../../../system/drbd/mirror-driver.ts';
import { DrbdModuleError, openMirrorDriver } from '../../../system/drbd/module.ts';
import { parseProcDrbd } from '../../../system/drbd/proc-drbd.ts';
import { fixture } from './fixture.ts';
import { type Answer, recordingHost } from './recording-host.ts';

const MiB = 2 ** 20;
const pair: MirrorPair = {
  resource: 'rehome-p',
  minor: 1,
  role: 'source',
  local: { address: '10.77.0.1', port: 7001 },
  peer: { address: '10.77.0.2', port: 7002 },
};

const UNPAUSED = { paused: false };

describe('/proc/drbd', () => {
  test('tells how far a sync is', () => {
    const { version, devices } = parseProcDrbd(fixture('proc-drbd-syncing.txt'));
    expect(version).toBe('8.4.11');
    expect(devices.get(1)).toEqual({
      minor: 1,
      connectionState: 'SyncSource',
      role: 'Primary',
      disk: 'UpToDate',
      peerDisk: 'Inconsistent',
      readKib: 25728,
      outOfSyncKib: 301952,
      position: { leftKib: 301952, totalKib: 327680, kibPerSecond: 8576 },
    });
  });

  test('tells how far a verify is', () => {
    const device = parseProcDrbd(fixture('proc-drbd-verifying.txt')).devices.get(1);
    expect(device).toMatchObject({ outOfSyncKib: 0, position: { leftKib: 242196, totalKib: 262144, kibPerSecond: 19948 } });
  });

  test('counts megabytes of a large device', () => {
    const text = fixture('proc-drbd-syncing.txt').replace('(301952/327680)K', '(9000/12000)M');
    expect(parseProcDrbd(text).devices.get(1)?.position).toMatchObject({ leftKib: 9000 * 1024, totalKib: 12000 * 1024 });
  });

  test('lists several devices, among them one without a protocol letter and one that is not configured', () => {
    const { devices } = parseProcDrbd(fixture('proc-drbd-several.txt'));
    expect([...devices.values()].map(({ minor, connectionState, disk }) => [minor, connectionState, disk])).toEqual([
      [1, 'PausedSyncS', 'UpToDate'],
      [2, 'StandAlone', 'UpToDate'],
      [3, 'Unconfigured', 'Diskless'],
      [4, 'WFConnection', 'Inconsistent'],
    ]);
  });

  test('without a version is not understood', () => {
    expect(() => parseProcDrbd('')).toThrow('without a version');
  });
});

describe('events2', () => {
  test('tells which resource a minor belongs to', () => {
    expect(parseEvents2(fixture('events2-syncing.txt'))).toEqual([{ resource: 'p', minor: 1 }]);
    expect(parseEvents2(fixture('events2-standalone.txt'))).toEqual([{ resource: 'p', minor: 1 }]);
  });

  test('shows a resource that has no device yet', () => {
    expect(parseEvents2('exists resource name:q role:Secondary suspended:no\nexists -\n')).toEqual([{ resource: 'q' }]);
  });

  test('of a kernel without resources is empty', () => {
    expect(parseEvents2('exists -\n')).toEqual([]);
  });

  test('that was cut off is not taken for an answer', () => {
    expect(() => parseEvents2(fixture('events2-syncing.txt').replace('exists -\n', ''))).toThrow('cut off');
  });
});

test.each([
  [4 * MiB, 4 * MiB],
  [129_920 * MiB, 4 * MiB],
  [129_921 * MiB, 8 * MiB],
  [260_992 * MiB, 8 * MiB],
  [260_993 * MiB, 12 * MiB],
])('%d bytes of data need %d bytes of metadata', (data, metadata) => {
  expect(metadataSizeBytes(data)).toBe(metadata);
});

describe('the driver of 8.4', () => {
  const commandsOf = async (act: (driver: ReturnType<typeof createDrbd84>) => Promise<void>, answer?: (line: string) => Answer) => {
    const recorded = recordingHost(answer);
    await act(createDrbd84(recorded.host));
    return recorded.commands.map((command) => command.join(' '));
  };

  test.each<[string, (driver: ReturnType<typeof createDrbd84>) => Promise<void>, string]>([
    ['writes metadata', (d) => d.writeMetadata(1, '/dev/vg/p_md'), 'drbdmeta --force 1 v08 /dev/vg/p_md flex-external create-md'],
    [
      'replays the activity log',
      (d) => d.applyActivityLog(1, '/dev/vg/p_md'),
      'drbdmeta --force 1 v08 /dev/vg/p_md flex-external apply-al',
    ],
    ['makes the resource', (d) => d.createResource(pair), 'drbdsetup new-resource rehome-p'],
    ['makes the minor', (d) => d.createMinor(pair), 'drbdsetup new-minor rehome-p 1 0'],
    ['promotes', (d) => d.promoteByForce(pair), 'drbdsetup primary 1 --force'],
    ['resumes the sync', (d) => d.resumeSync(pair), 'drbdsetup resume-sync 1'],
    ['verifies from the first sector', (d) => d.startVerify(pair), 'drbdsetup verify 1 --start=0'],
    [
      'verifies a range alone',
      (d) => d.startVerify(pair, { startSector: 540_136, sectors: 88 }),
      'drbdsetup verify 1 --start=540136 --stop=540224',
    ],
    ['disconnects by addresses', (d) => d.disconnect(pair), 'drbdsetup disconnect ipv4:10.77.0.1:7001 ipv4:10.77.0.2:7002 --force=yes'],
    ['takes the resource down', (d) => d.down('rehome-p'), 'drbdsetup down rehome-p'],
  ])('%s', async (_, act, expected) => {
    expect(await commandsOf(act)).toEqual([expected]);
  });

  test('attaches the data with metadata of its own', async () => {
    const [line] = await commandsOf((driver) => driver.attach(pair, { data: '/dev/mapper/p-back', metadata: '/dev/vg/p_md' }));
    expect(line).toMatch(/^drbdsetup attach 1 \/dev\/mapper\/p-back \/dev\/vg\/p_md flexible --c-/);
    expect(line).not.toContain('discard');
  });

  test('leaves out zeros where it copies to a thin volume', async () => {
    const devices = { data: '/dev/mapper/p', metadata: '/dev/vg/p_md', thin: true };
    expect(await commandsOf((driver) => driver.attach(pair, devices))).toEqual([expect.stringMatching(/ --rs-discard-granularity=65536$/)]);
  });

  test('connects with a secret that both sides must know, and keeps it from errors', async () => {
    const recorded = recordingHost(() => ({ exitCode: 10, stderr: '(102) Local address(port) already in use.' }));
    await expect(createDrbd84(recorded.host).connect(pair, 'hunter2', UNPAUSED)).rejects.not.toThrow('hunter2');
    const command = recorded.commands[0]!;
    expect(command.slice(0, 5)).toEqual(['drbdsetup', 'connect', 'rehome-p', 'ipv4:10.77.0.1:7001', 'ipv4:10.77.0.2:7002']);
    expect(command).toEqual(
      expect.arrayContaining(['--protocol=C', '--cram-hmac-alg=sha256', '--shared-secret=hunter2', '--verify-alg=crc32c']),
    );
  });

  test('gives every setting of a sync to DRBD, in the unit that it has there', async () => {
    const settings = {
      maxRateBytesPerSecond: 100 * MiB,
      minRateBytesPerSecond: 0,
      fillTargetBytes: MiB,
      bufferBytes: 8 * MiB,
      onlineMinRateBytesPerSecond: MiB,
      onlineVerifyRateBytesPerSecond: MiB,
      socketBufferBytes: 2 * MiB,
    };
    const recorded = recordingHost();
    const driver = createDrbd84(recorded.host, settings);
    await driver.attach(pair, { data: '/dev/mapper/p-back', metadata: '/dev/vg/p_md' });
    await driver.connect(pair, 's', UNPAUSED);
    const [attach, connect] = recorded.commands;
    await driver.controlSync(pair, { ...settings, maxRateBytesPerSecond: 2 * MiB });
    expect(recorded.commands.at(-1)).toEqual(expect.arrayContaining(['disk-options', '1', '--c-max-rate=2048', '--c-fill-target=2048']));
    expect(attach).toEqual(
      expect.arrayContaining(['--c-max-rate=102400', '--c-min-rate=0', '--c-fill-target=2048', '--resync-rate=10240']),
    );
    await driver.controlSync(pair, { ...settings, fillTargetBytes: 512 * MiB });
    expect(recorded.commands.at(-1), 'DRBD takes no more than 4 GiB/s').toContain('--resync-rate=4194304');
    expect(connect).toEqual(expect.arrayContaining(['--max-buffers=2048', '--sndbuf-size=2097152', '--rcvbuf-size=2097152']));
  });

  test('limits the rate of a sync that runs, and nothing else of it', async () => {
    expect(await commandsOf((driver) => driver.limitRate(pair, 2 * MiB))).toEqual(['drbdsetup disk-options 1 --c-max-rate=2048']);
  });

  test('finds a connection that is gone already disconnected', async () => {
    await commandsOf(
      (driver) => driver.disconnect(pair),
      () => ({ exitCode: 10, stderr: 'p: Failure: (162) unknown connection' }),
    );
  });

  test('repairs by a new handshake', async () => {
    const lines = await commandsOf((driver) => driver.repair(pair, 's'));
    expect(lines.map((line) => line.split(' ')[1])).toEqual(['disconnect', 'connect']);
  });

  test('pauses the sync before there is one, also where it is paused already', async () => {
    const lines = await commandsOf(
      (driver) => driver.connect(pair, 's', { paused: true }),
      (line) => (line.includes('pause-sync') ? { exitCode: 10, stderr: '20000: Failure: (134) Sync-pause flag is already set' } : {}),
    );
    expect(lines.map((line) => line.split(' ')[1])).toEqual(['pause-sync', 'connect']);
  });

  test('resumes a sync that is not paused without complaint', async () => {
    await commandsOf(
      (driver) => driver.resumeSync(pair),
      () => ({ exitCode: 10, stderr: '20000: Failure: (135) Sync-pause flag is already cleared' }),
    );
  });

  test('does not swallow another refusal', async () => {
    const refused = commandsOf(
      (driver) => driver.resumeSync(pair),
      () => ({ exitCode: 10, stderr: '(127) Device minor not allocated' }),
    );
    await expect(refused).rejects.toThrow('not allocated');
  });

  test('skips nothing in a verify, and looks for no record of it', async () => {
    const { host } = recordingHost();
    const driver = createDrbd84(host);
    expect([await driver.verifyLogPosition(), await driver.skippedByVerify(pair)]).toEqual([undefined, undefined]);
  });

  const fileOf = (name: string) => ({ '/proc/drbd': fixture(name) });

  test('observes a resource with the state of its minor', async () => {
    const { host } = recordingHost(() => ({ stdout: fixture('events2-syncing.txt') }), fileOf('proc-drbd-syncing.txt'));
    expect(await createDrbd84(host).observe()).toMatchObject([
      { resource: 'p', minor: 1, state: { role: 'Primary', connection: 'Connected', replication: 'SyncSource', outOfSyncKib: 301952 } },
    ]);
  });

  test.each([
    [1, { connection: 'Connected', replication: 'PausedSyncS' }],
    [2, { connection: 'StandAlone', replication: 'Off' }],
    [3, { connection: 'StandAlone', replication: 'Off', disk: 'Diskless' }],
    [4, { connection: 'WFConnection', replication: 'Off', disk: 'Inconsistent' }],
  ])('observes minor %d without starting a program', async (minor, expected) => {
    const { host, commands } = recordingHost(undefined, fileOf('proc-drbd-several.txt'));
    expect(await createDrbd84(host).observeMinor(minor)).toMatchObject(expected);
    expect(commands).toEqual([]);
  });

  test('calls a connected pair at rest established', async () => {
    const text = fixture('proc-drbd-several.txt').replace('cs:PausedSyncS', 'cs:Connected');
    const { host } = recordingHost(undefined, { '/proc/drbd': text });
    expect(await createDrbd84(host).observeMinor(1)).toMatchObject({ connection: 'Connected', replication: 'Established' });
  });
});

describe('opening DRBD', () => {
  const helper = '/sys/module/drbd/parameters/usermode_helper';

  test('keeps a loaded module from calling helpers', async () => {
    const { host, commands, files } = recordingHost(undefined, {
      '/proc/drbd': fixture('proc-drbd-several.txt'),
      [helper]: '/sbin/drbdadm\n',
    });
    await openMirrorDriver(host, DEFAULT_SYNC_SETTINGS);
    expect(commands).toEqual([]);
    expect(files[helper]).toBe('disabled');
  });

  test('loads the module where there is none', async () => {
    const files: Record<string, string> = {};
    const { host, commands } = recordingHost(() => {
      files['/proc/drbd'] = fixture('proc-drbd-several.txt');
      return {};
    }, files);
    await openMirrorDriver(host, DEFAULT_SYNC_SETTINGS);
    expect(commands).toEqual([['modprobe', 'drbd', 'usermode_helper=disabled']]);
  });

  test.each([
    ['9.3.3', 'tcp (9.3.3)', []],
    ['9.1.0', '', [['modprobe', 'drbd_transport_tcp']]],
  ])('knows DRBD %s, and loads its transport where it is not', async (version, transports, expected) => {
    const proc = `version: ${version} (api:2/proto:118-124)\nTransports (api:22): ${transports}\n`;
    const { host, commands } = recordingHost(undefined, { '/proc/drbd': proc, [helper]: 'disabled\n' });
    const driver = await openMirrorDriver(host, DEFAULT_SYNC_SETTINGS);
    expect(commands).toEqual(expected);
    await driver.promoteByForce(pair);
    expect(commands.at(-1)).toEqual(['drbdsetup', 'primary', 'rehome-p', '--force']);
  });

  test.each(['8.3.11', '9.0.32', '10.0.0'])('refuses DRBD %s, which it has no driver for', async (version) => {
    const { host } = recordingHost(undefined, { '/proc/drbd': `version: ${version} (api:2/proto:118-124)\n`, [helper]: 'disabled\n' });
    await expect(openMirrorDriver(host, DEFAULT_SYNC_SETTINGS)).rejects.toBeInstanceOf(DrbdModuleError);
  });
});
