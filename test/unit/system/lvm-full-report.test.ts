import { describe, expect, test } from 'vitest';
import { parseFullReport, readFullReport } from '../../../system/lvm/full-report.ts';
import { fixture } from './fixture.ts';
import { recordingHost } from './recording-host.ts';

const GROUP = 'LocalStorage_PoolHDD';

describe('a full report', () => {
  const report = parseFullReport(fixture('lvm-fullreport.json'));
  const volume = (name: string) => report.logicalVolumes.find((candidate) => candidate.name === name);

  test('tells sizes of volume groups and of the physical volumes that belong to one', () => {
    expect(report.volumeGroups).toEqual([{ name: GROUP, sizeBytes: 1065353216, freeBytes: 788529152 }]);
    expect(report.physicalVolumes.map(({ device, missing }) => [device, missing])).toEqual([
      ['/dev/vda', false],
      ['/dev/vdb', false],
    ]);
  });

  test('gathers the segments of a volume, and the devices of a striped one', () => {
    expect(volume('data-0')).toMatchObject({ volumeGroup: GROUP, sizeBytes: 75497472, devices: ['/dev/vda', '/dev/vda'] });
    expect(volume('striped')?.devices).toEqual(['/dev/vda', '/dev/vdb']);
  });

  test('knows a volume that is open, one that is not, and an inactive one, of which LVM says "unknown"', () => {
    expect(volume('data-0')).toMatchObject({ active: true, open: true });
    expect(volume('copy-0')).toMatchObject({ active: true, open: false });
    expect(volume('idle-0')).toMatchObject({ active: false, open: false });
  });

  test('keeps thin pools apart from volumes, and says what lives in them', () => {
    expect(volume('LocalStorage_ThinPool')).toBeUndefined();
    expect(report.thinPools).toEqual([
      {
        volumeGroup: GROUP,
        name: 'LocalStorage_ThinPool',
        sizeBytes: 67108864,
        metadataSizeBytes: 4194304,
        dataPercent: 0,
        metadataPercent: 10.94,
        chunkSizeBytes: 65536,
      },
    ]);
    expect(volume('thin-0')).toMatchObject({ thinPool: 'LocalStorage_ThinPool', dataPercent: 0, devices: [] });
  });

  test('splits tags', () => {
    expect(volume('copy-0_rehome_metadata')?.tags).toEqual(['rehome.io/migration=77aa', 'rehome.io/volume=copy-0']);
    expect(volume('striped')?.tags).toEqual([]);
  });
});

test('a disk that is gone is missing, and stands in its volumes under the same name', () => {
  const report = parseFullReport(fixture('lvm-fullreport-missing-disk.json'));
  const missing = report.physicalVolumes.find((physicalVolume) => physicalVolume.missing);
  expect(missing).toMatchObject({ volumeGroup: GROUP, sizeBytes: 532676608 });
  expect(report.logicalVolumes.find(({ name }) => name === 'striped')?.devices).toContain(missing?.device);
});

test('all of it is asked in one command, in bytes', async () => {
  const { host, commands } = recordingHost(() => ({ stdout: '{"report":[]}' }));
  expect(await readFullReport(host)).toEqual({ volumeGroups: [], physicalVolumes: [], logicalVolumes: [], thinPools: [] });
  expect(commands).toHaveLength(1);
  expect(commands[0]).toEqual(expect.arrayContaining(['lvm', 'fullreport', '--units', 'b', '--nosuffix']));
});

test('an answer of another shape is refused', () => {
  expect(() => parseFullReport('{"report":[{"vg":[{"vg_name":"vg"}]}]}')).toThrow();
});
