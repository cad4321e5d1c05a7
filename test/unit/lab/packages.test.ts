import { describe, expect, test } from 'vitest';
import { parseDependencies, parsePackageFiles, withLibraries } from '../../../lab/tools/packages.ts';

// As apt-cache depends --recurse prints it.
const DEPENDS = `lvm2
  Depends: libaio1
  Depends: libsystemd0
    libelogind0
 |Depends: lsb-base
  Depends: sysvinit-utils
  Depends: dmsetup
libaio1
  PreDepends: libc6
libsystemd0:amd64
  Depends: libcap2
  Depends: <debconf-2.0>
    cdebconf
libcap2
  Depends: libc6
libc6
  Depends: libgcc-s1
libgcc-s1
  Depends: libc6
dmsetup
  Depends: libdevmapper1.02.1
`;

describe('dependencies of packages', () => {
  test('the first of alternatives counts; providers and virtual packages do not', () => {
    const graph = parseDependencies(DEPENDS);
    expect(graph.get('lvm2')).toEqual(['libaio1', 'libsystemd0', 'lsb-base', 'dmsetup']);
    expect(graph.get('libsystemd0')).toEqual(['libcap2']);
    expect(graph.get('libaio1')).toEqual(['libc6']);
  });

  test('libraries are followed to the end, circles included; programs are not', () => {
    expect(withLibraries(['lvm2'], parseDependencies(DEPENDS))).toEqual([
      'libaio1',
      'libc6',
      'libcap2',
      'libgcc-s1',
      'libsystemd0',
      'lvm2',
    ]);
  });
});

test("apt's answer gives file names and checksums, and lines about other things are passed over", () => {
  const sum = 'ab'.repeat(32);
  const answer = `Reading package lists...\n'http://a.example/pool/x_1%3a2.deb' x_1%3a2_amd64.deb 930 SHA256:${sum}\n`;
  expect(parsePackageFiles(answer)).toEqual([{ file: 'x_1%3a2_amd64.deb', checksum: sum }]);
});
