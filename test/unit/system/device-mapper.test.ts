import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandError, type Run, run as realRun } from '../../../system/command.ts';
import { createDevice, DeviceInUseError, loadTable, removeDevice, swapTable } from '../../../system/device-mapper/change-device.ts';
import {
  formatTable,
  listMappedDevices,
  logicalVolumeDeviceName,
  parseMappedDevices,
  parseTableLine,
  sectorsOf,
} from '../../../system/device-mapper/devices.ts';
import { fixture } from './fixture.ts';
import { recordingHost } from './recording-host.ts';

const devices = parseMappedDevices(fixture('dmsetup-table.txt'));
const table = [{ startSector: 0, sectors: 655360, target: 'linear', args: '147:1 0' }];

describe('the devices of a node', () => {
  test('have a table of several lines', () => {
    const back = devices.get('p-back')!;
    expect(back.table.map(({ startSector, target, args }) => [startSector, target, args])).toEqual([
      [0, 'linear', '254:0 2048'],
      [8192, 'linear', '254:0 1779712'],
    ]);
    expect(sectorsOf(back.table)).toBe(16_384);
    expect(back.uuid).toBe('');
  });

  test('say who they are and how many have them open', () => {
    const data = { number: '253:0', openCount: 0, suspended: false, inactiveTable: false };
    expect(devices.get('LocalStorage_PoolHDD-data')).toMatchObject(data);
    expect(devices.get('LocalStorage_PoolHDD-data')?.uuid).toMatch(/^LVM-/);
    expect(devices.get('LocalStorage_PoolHDD-tp-tpool')?.openCount).toBe(3);
    expect(devices.get('vg-p')).toMatchObject({ number: '253:9', openCount: 1, table });
    expect(devices.size).toBe(10);
  });

  test('show a table swap that was left halfway', () => {
    expect(devices.get('t1-back')).toMatchObject({ suspended: true, inactiveTable: true });
  });

  test.each(['No devices found\n', ''])('are none where dmsetup says %j', async (stdout) => {
    expect((await listMappedDevices(recordingHost(() => ({ stdout })).host)).size).toBe(0);
  });

  test('keep a device that has no table yet', () => {
    expect(devices.get('empty')).toMatchObject({ number: '253:8', table: [] });
  });

  test('are not guessed from an answer of another shape', () => {
    expect(() => parseMappedDevices('vg-p: 0 8192 linear 254:0 2048\n')).toThrow('dmsetup says nothing of Name');
  });
});

test.each([
  ['vg', 'p', 'vg-p'],
  ['LocalStorage_PoolHDD', 'pvc-1a-2b', 'LocalStorage_PoolHDD-pvc--1a--2b'],
])('the volume %s/%s has the device %s', (group, volume, name) => {
  expect(logicalVolumeDeviceName(group, volume)).toBe(name);
});

test('no two logical volumes share a device name', () => {
  // LVM takes no name that begins with a hyphen.
  const name = fc.stringMatching(/^[a-z][a-z-]{0,4}$/);
  fc.assert(
    fc.property(name, name, name, name, (groupA, volumeA, groupB, volumeB) => {
      fc.pre(groupA !== groupB || volumeA !== volumeB);
      expect(logicalVolumeDeviceName(groupA, volumeA)).not.toBe(logicalVolumeDeviceName(groupB, volumeB));
    }),
  );
});

test('a table that is written is read as the same', () => {
  for (const { table: lines } of [...devices.values()].filter(({ name }) => name !== 'empty')) {
    expect(formatTable(lines).split('\n').map(parseTableLine)).toEqual(lines);
  }
});

describe('changes', () => {
  test('give a table of several lines as one argument', async () => {
    const { host, commands } = recordingHost();
    await createDevice(host, 'p-back', devices.get('p-back')!.table);
    expect(commands).toEqual([
      ['dmsetup', 'create', '--verifyudev', 'p-back', '--table', '0 8192 linear 254:0 2048\n8192 8192 linear 254:0 1779712'],
    ]);
  });

  test('load a table beside the live one', async () => {
    const { host, commands } = recordingHost();
    await loadTable(host, 'vg-p', table);
    expect(commands).toEqual([['dmsetup', 'load', 'vg-p', '--table', '0 655360 linear 147:1 0']]);
  });

  /** Runs the swap's script for real, with a dmsetup that writes down what it is asked. */
  async function swapWith(failing: string) {
    const directory = mkdtempSync(join(tmpdir(), 'swap-'));
    try {
      const script = `#!/bin/sh\necho "$@" >>${directory}/log\n[ "$1" != '${failing}' ]\n`;
      writeFileSync(join(directory, 'dmsetup'), script, { mode: 0o755 });
      for (const name of ['a', 'b']) writeFileSync(join(directory, name), `${name}\n`);
      const run: Run = (program, args) => realRun('env', [`PATH=${directory}:${process.env.PATH}`, program, ...args]);
      const paths = ['a', 'b'].map((name) => join(directory, name));
      const read = await swapTable({ ...recordingHost().host, run }, 'vg-p', paths).catch((error: unknown) => error);
      return { read, log: readFileSync(join(directory, 'log'), 'utf8').trim().split('\n') };
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  test('read while the device is suspended, without a file system freeze, and resume it', async () => {
    expect(await swapWith('nothing')).toEqual({ read: 'a\nb\n', log: ['suspend --nolockfs vg-p', 'resume vg-p'] });
  });

  test('do not go on where the device could not be suspended', async () => {
    const { read, log } = await swapWith('suspend');
    expect(read).toBeInstanceOf(CommandError);
    expect(log).toEqual(['suspend --nolockfs vg-p']);
  });

  test('say that a device is in use', async () => {
    const { host } = recordingHost(() => ({
      exitCode: 1,
      stderr: 'device-mapper: remove ioctl on vg-p  failed: Device or resource busy\n',
    }));
    await expect(removeDevice(host, 'vg-p')).rejects.toBeInstanceOf(DeviceInUseError);
  });
});
