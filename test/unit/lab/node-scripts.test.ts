import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { References } from '../../../lab/kubelet/environment.ts';
import { containerScript, prepareScript } from '../../../lab/kubelet/node-scripts.ts';
import type { NodeVolume } from '../../../lab/kubelet/pod-volumes.ts';
import { container, pod } from './pods.ts';

const references: References = {
  nodeAddress: '10.0.0.1',
  secretValue: () => '',
  configMapValue: () => '',
  secretValues: () => new Map(),
  configMapValues: () => new Map(),
};
const data = {
  kind: 'persistent',
  name: 'data',
  handle: 'data-web-0',
  raw: false,
  fileSystem: 'ext4',
  device: { volumeGroup: 'pool', logicalVolume: 'data-web-0', replicated: false },
} satisfies NodeVolume;
const script = (...[change]: Parameters<typeof container>[1][]) =>
  containerScript(pod(), container('main', change), [data], references, { PATH: '/bin' });

/** Position of the line that has this in it; the scripts' order is what keeps data safe. */
const line = (text: string, part: string): number => text.split('\n').findIndex((candidate) => candidate.includes(part));

describe('preparing a volume', () => {
  test('it is in use before it is active, and mounted before the pod is prepared', () => {
    const text = prepareScript(pod(), [data]);
    const order = ['claims/data', 'lvchange -ay', 'mount -t', '/prepared'].map((part) => line(text, part));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order).not.toContain(-1);
  });

  test('one that DRBD keeps on two nodes is made writable here before it is mounted, by the device of DRBD', () => {
    const text = prepareScript(pod(), [{ ...data, device: { ...data.device, replicated: true } }]);
    const order = ['claims/data', 'drbdadm primary data-web-0', 'mount -t ext4 /dev/pool-HA/data-web-0'].map((part) => line(text, part));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order).not.toContain(-1);
    expect(text).not.toContain('lvchange');
  });

  test('a raw volume is never mounted', () => {
    const text = prepareScript(pod(), [{ ...data, raw: true }]);
    expect(text).toContain('mknod');
    expect(text).not.toContain('mount -t');
  });
});

describe("a container's script", () => {
  test('joins its control group before anything else, so that all it does ends with it', () => {
    expect(line(script(), 'cgroup.procs')).toBe(1);
  });

  test('has devices of its own unless it is privileged', () => {
    expect(script()).toContain('mount -t tmpfs');
    expect(script({ securityContext: { privileged: true } })).not.toContain('mount -t tmpfs');
  });

  test('mounts a read-only volume read-only', () => {
    expect(script({ volumeMounts: [{ name: 'data', mountPath: '/data', readOnly: true }] })).toContain('mount -o remount,bind,ro /data');
  });

  test('mounts the part of a volume that the pod names, also by a variable', () => {
    const mounted = 'mount --bind /run/kubelet/pods/u1/volumes/data/web-0 /data';
    expect(script({ volumeMounts: [{ name: 'data', mountPath: '/data', subPath: 'web-0' }] })).toContain(mounted);
    expect(script({ volumeMounts: [{ name: 'data', mountPath: '/data', subPathExpr: '$(HOSTNAME)' }] })).toContain(mounted);
  });

  test('is refused for a volume that the pod does not have', () => {
    expect(() => script({ volumeMounts: [{ name: 'none', mountPath: '/data' }] })).toThrow('the pod has no volume none');
  });
});

describe('a real shell', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'rehome-shell-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  test('writes the files of a volume as they were, whatever they hold', () => {
    const content = Buffer.from([0, 255, 10, 39, 34, 36]);
    const text = prepareScript(pod(), [{ kind: 'files', name: 'key', files: new Map([['sub/key', content]]) }]);
    execFileSync('/bin/sh', ['-c', text.replaceAll('/run/kubelet', directory)]);
    expect(readFileSync(join(directory, 'pods/u1/volumes/key/sub/key'))).toEqual(content);
    expect(readFileSync(join(directory, 'pods/u1/pod'), 'utf8')).toBe('default/web-0\n');
  });
});
