import { describe, expect, test } from 'vitest';
import { CommandError } from '../../../system/command.ts';
import {
  changeLogicalVolume,
  createLogicalVolume,
  createThinVolume,
  removeLogicalVolume,
  VolumeGroupFullError,
} from '../../../system/lvm/logical-volume.ts';
import { listLogicalVolumes, parseLogicalVolumes, parsePhysicalVolumes, parseVolumeGroups } from '../../../system/lvm/report.ts';
import { fixture } from './fixture.ts';
import { recordingHost } from './recording-host.ts';

describe('reports', () => {
  test('tell what a logical volume is, whatever the number of its segments', () => {
    const [data, idle] = parseLogicalVolumes(fixture('lvs.json'));
    expect(data).toMatchObject({
      volumeGroup: 'LocalStorage_PoolHDD',
      extentSizeBytes: 4_194_304,
      name: 'data',
      sizeBytes: 343_932_928,
      tags: ['rehome.io/migration=5f0c', 'rehome.io/pairing=1'],
      thinPool: '',
      origin: '',
      segments: [{ type: 'linear' }, { type: 'linear' }],
    });
    expect(idle).toMatchObject({ name: 'idle', tags: [], segments: [{ type: 'linear', dataPercent: undefined, chunkSizeBytes: 0 }] });
  });

  test('tell a volume that has lost a disk', () => {
    const whole = fixture('lvs.json');
    expect(parseLogicalVolumes(whole).map(({ partial }) => partial)).not.toContain(true);
    const partial = whole.replaceAll('"lv_health_status": ""', '"lv_health_status": "partial"');
    expect(parseLogicalVolumes(partial).map(({ partial }) => partial)).not.toContain(false);
  });

  test('tell what a volume group has and what it lies on', () => {
    expect(parseVolumeGroups(fixture('vgs.json'))).toEqual([{ name: 'LocalStorage_PoolHDD', extentSizeBytes: 4_194_304 }]);
    expect(parsePhysicalVolumes(fixture('pvs.json'))).toEqual([
      { device: '/dev/vda', volumeGroup: 'LocalStorage_PoolHDD', sizeBytes: 4290772992, missing: false },
    ]);
  });

  test('tell how much a thin volume has taken of its pool, how full that is, and in which pieces it gives', () => {
    const [, , thin, pool] = parseLogicalVolumes(fixture('lvs.json'));
    expect(thin).toMatchObject({ name: 't1', thinPool: 'tp', segments: [{ type: 'thin', dataPercent: 13.46 }] });
    expect(pool).toMatchObject({ name: 'tp', segments: [{ type: 'thin-pool', dataPercent: 7, chunkSizeBytes: 65_536 }] });
  });

  test('ask for one volume group by selection, so that an unknown one is an empty answer', async () => {
    const { host, commands } = recordingHost(() => ({ stdout: '{"report":[{"seg":[]}]}' }));
    expect(await listLogicalVolumes(host, 'vg')).toEqual([]);
    expect(commands[0]).toEqual(
      expect.arrayContaining(['--reportformat', 'json', '--units', 'b', '--nosuffix', '--select', 'vg_name="vg"']),
    );
  });

  test('of another shape are refused', () => {
    expect(() => parseLogicalVolumes('{"report":[{"seg":[{"lv_name":"p"}]}]}')).toThrow();
  });
});

describe('changes', () => {
  const volume = { volumeGroup: 'vg', name: 'p', sizeBytes: 4194304, tags: ['a=1', 'b=2'] };

  test('create with the exact size and the tags in one step', async () => {
    const { host, commands } = recordingHost();
    await createLogicalVolume(host, volume);
    expect(commands).toEqual([['lvcreate', '-y', '-Wy', '-Zy', '-L', '4194304b', '-n', 'p', '--addtag', 'a=1', '--addtag', 'b=2', 'vg']]);
  });

  test('create a thin volume in its pool, without wiping what reads as zeros anyway', async () => {
    const { host, commands } = recordingHost();
    await createThinVolume(host, { ...volume, thinPool: 'tp' });
    expect(commands).toEqual([
      ['lvcreate', '-y', '-V', '4194304b', '--thinpool', 'tp', '-n', 'p', '--addtag', 'a=1', '--addtag', 'b=2', 'vg'],
    ]);
  });

  test('tell a thin pool that takes no more volumes from other refusals', async () => {
    const refusing = (stderr: string) => recordingHost(() => ({ exitCode: 5, stderr })).host;
    const create = (stderr: string) => createThinVolume(refusing(stderr), { ...volume, thinPool: 'tp' });
    const full = 'Free space in pool vg/tp is above threshold, new volumes are not allowed.';
    await expect(create(full)).rejects.toBeInstanceOf(VolumeGroupFullError);
    await expect(create('Logical volume tp not found in volume group vg.')).rejects.toBeInstanceOf(CommandError);
  });

  test('tell a full volume group from other refusals', async () => {
    const refusing = (stderr: string) => recordingHost(() => ({ exitCode: 5, stderr })).host;
    const full = 'Volume group "vg" has insufficient free space (3 extents): 4 required.';
    await expect(createLogicalVolume(refusing(full), volume)).rejects.toBeInstanceOf(VolumeGroupFullError);
    const taken = 'Logical Volume "p" already exists in volume group "vg"';
    await expect(createLogicalVolume(refusing(taken), volume)).rejects.toBeInstanceOf(CommandError);
  });

  test('remove only the very volume that carries the tag', async () => {
    const { host, commands } = recordingHost();
    await removeLogicalVolume(host, { volumeGroup: 'vg', uuid: 'wepVLN-0tAF', tag: 'a=1' });
    expect(commands).toEqual([['lvremove', '-y', '--select', 'lv_uuid="wepVLN-0tAF" && lv_tags={"a=1"}', 'vg']]);
  });

  test('exchange tags and retire a volume in one step, and do nothing for nothing', async () => {
    const { host, commands } = recordingHost();
    await changeLogicalVolume(host, volume, { addTags: ['a=2'], removeTags: ['a=1'], autoactivation: false });
    await changeLogicalVolume(host, volume, {});
    expect(commands).toEqual([['lvchange', '--deltag', 'a=1', '--addtag', 'a=2', '--setautoactivation', 'n', 'vg/p']]);
  });
});
