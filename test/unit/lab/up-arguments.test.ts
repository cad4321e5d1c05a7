import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { drbd9Check } from '../../../lab/drbd9.ts';
import { parseUpArguments } from '../../../lab/up-arguments.ts';
import { UsageError } from '../../../lab/usage-error.ts';

describe('lab up', () => {
  const modulesDirectory = resolve('modules');

  test.each<[string, string[], object]>([
    ['brings up three nodes with all that runs on them', [], { nodes: 3, rehome: true }],
    ['takes a number of nodes, and leaves Rehome out', ['--nodes', '9', '--no-rehome'], { nodes: 9, rehome: false }],
    [
      'runs DRBD 9 on every node',
      ['--nodes', '2', '--drbd-modules', 'modules'],
      { nodes: 2, rehome: true, drbd9: { modulesDirectory, nodes: ['n1', 'n2'] } },
    ],
    [
      'runs DRBD 9 on the nodes that are named, each once',
      ['--drbd-modules', modulesDirectory, '--drbd9-nodes', 'n3,n1,n3'],
      { nodes: 3, rehome: true, drbd9: { modulesDirectory, nodes: ['n3', 'n1'] } },
    ],
  ])('%s', (_, args, expected) => {
    expect(parseUpArguments(args)).toEqual(expected);
  });

  test.each<[string, string[], string]>([
    ['no nodes', ['--nodes', '0'], '--nodes 0: 1 to 9'],
    ['half a node', ['--nodes', '1.5'], '--nodes 1.5: 1 to 9'],
    ['a node that is not there', ['--drbd-modules', 'modules', '--drbd9-nodes', 'n1,n4'], "no node is called 'n4'; there are n1, n2, n3"],
    ['a list that ends in a comma', ['--drbd-modules', 'modules', '--drbd9-nodes', 'n1,'], "no node is called ''"],
    ['nodes without modules', ['--drbd9-nodes', 'n1'], '--drbd9-nodes needs --drbd-modules DIR'],
  ])('refuses %s', (_, args, message) => {
    expect(() => parseUpArguments(args)).toThrow(message);
    expect(() => parseUpArguments(args)).toThrow(UsageError);
  });

  test('refuses an option that is none', () => {
    expect(() => parseUpArguments(['--drbd9'])).toThrow("Unknown option '--drbd9'");
  });
});

describe('the modules of DRBD 9', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'rehome-modules-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });
  const problemWith = (modulesDirectory: string) => drbd9Check({ modulesDirectory, nodes: ['n1'] })();

  test('are looked for before anything is changed', () => {
    expect(problemWith(join(directory, 'none'))).toMatchObject({ problem: `there is no directory ${directory}/none` });
    expect(problemWith(directory)).toMatchObject({ problem: `${directory} holds no drbd.ko and no drbd_transport_tcp.ko` });
    writeFileSync(join(directory, 'drbd.ko'), '');
    expect(problemWith(directory)).toMatchObject({
      problem: `${directory} holds no drbd_transport_tcp.ko`,
      remedy: expect.stringMatching(/--drbd-modules/),
    });
  });

  test('are found', () => {
    for (const name of ['drbd.ko', 'drbd_transport_tcp.ko']) writeFileSync(join(directory, name), '');
    expect(problemWith(directory)).toBeUndefined();
  });
});
