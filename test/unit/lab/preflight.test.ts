import { describe, expect, test } from 'vitest';
import { distributionIn, HOST_CHECKS, type Host, PreflightError, preflight, ROOM_CHECKS } from '../../../lab/preflight.ts';

const GiB = 2 ** 30;

const good: Host = {
  platform: 'linux',
  architecture: 'x64',
  root: true,
  capabilities: 0x1ffffffffffn,
  apt: true,
  distribution: ['debian'],
  tunDevice: true,
  availableMemoryBytes: 8 * GiB,
  freeBytes: { lab: 20 * GiB, cache: 20 * GiB },
  addresses: [{ device: 'eth0', address: '192.0.2.7' }],
};

function problemsOf(host: Host, machines = 3): string[] {
  const checks = [...Object.values(HOST_CHECKS), ...Object.values(ROOM_CHECKS)];
  const findings = checks.map((check) => check(host, machines));
  return findings.filter((finding) => finding !== undefined).map(({ problem }) => problem);
}

test('nothing is wrong with a host that has everything', () => {
  expect(problemsOf(good)).toEqual([]);
});

describe('what is wrong with a host is said', () => {
  test.each<[string, Partial<Host>, RegExp]>([
    ['another system', { platform: 'darwin' }, /^this is darwin on x64$/],
    ['another processor', { architecture: 'arm64' }, /^this is linux on arm64$/],
    ['an ordinary user', { root: false, capabilities: 0n }, /^you are not root$/],
    ['root of an unprivileged container', { capabilities: 0xa80425fbn }, /CAP_NET_ADMIN/],
    ['no apt', { apt: false, distribution: ['fedora'] }, /^there is no apt-get$/],
    ["an apt without Debian's kernel", { distribution: ['ubuntu', 'debian'] }, /^apt of ubuntu/],
    ['no taps', { tunDevice: false }, /net\/tun/],
    ['little memory', { availableMemoryBytes: 4 * GiB }, /^4\.0 GiB of memory are available, 3 nodes need 4\.6 GiB$/],
    [
      "little room for the lab's state",
      { freeBytes: { lab: GiB, cache: 20 * GiB } },
      /^1\.0 GiB of disk are free for the lab's directory, 4\.5 GiB/,
    ],
    ['little room for the cache', { freeBytes: { lab: 20 * GiB, cache: GiB } }, /^1\.0 GiB of disk are free for the cache/],
    [
      "a stranger in the lab's network",
      { addresses: [{ device: 'docker0', address: '10.78.0.1' }] },
      /^docker0 has the address 10\.78\.0\.1/,
    ],
  ])('%s', (_, change, expected) => {
    expect(problemsOf({ ...good, ...change })).toEqual([expect.stringMatching(expected)]);
  });
});

test("the lab's own address is no stranger's", () => {
  expect(problemsOf({ ...good, addresses: [{ device: 'rehome-lab', address: '10.78.0.254' }] })).toEqual([]);
});

test('fewer nodes need less memory', () => {
  expect(problemsOf({ ...good, availableMemoryBytes: 4 * GiB }, 2)).toEqual([]);
});

test('every problem is named at once, with its remedy', async () => {
  const checks = [
    () => ({ problem: 'no root', remedy: 'Use sudo.' }),
    () => undefined,
    async () => ({ problem: 'no go', remedy: 'Install it.' }),
  ];
  await expect(preflight(checks)).rejects.toThrow(/no root\. Use sudo\.\n.*no go\. Install it\./);
  await expect(preflight(checks)).rejects.toBeInstanceOf(PreflightError);
});

test('the distribution is read with and without quotes', () => {
  expect(distributionIn('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n')).toEqual(['ubuntu', 'debian']);
  expect(distributionIn('ID="linuxmint"\nID_LIKE="ubuntu debian"\n')).toEqual(['linuxmint', 'ubuntu', 'debian']);
  expect(distributionIn('')).toEqual([]);
});
