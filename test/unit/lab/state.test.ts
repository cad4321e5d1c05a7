import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { programChecks } from '../../../lab/cluster/preflight.ts';
import { Lab, LabExistsError, Steps } from '../../../lab/index.ts';
import { hostChecks, PreflightError } from '../../../lab/preflight.ts';
import { parseProcessStat } from '../../../lab/processes.ts';
import { isOwn, type LabState, readState, thisProcess, userOf, writeState } from '../../../lab/state.ts';
import { prepareHost } from '../../../lab/up.ts';

const mine: LabState = {
  phase: 'ready',
  startedBy: thisProcess(),
  owner: 'process',
  nodes: 3,
  rehome: true,
  controllerEnvironment: {},
  programs: { controlPlaneDirectory: '', temporalDirectory: '' },
  ports: { etcdClient: 1, etcdPeer: 2, apiserver: 3, temporal: 4, temporalUi: 5 },
};
/** The kernel has given the pid to somebody else meanwhile. */
const dead = { pid: process.pid, startTime: '1' };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rehome-state-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

describe('who needs a lab', () => {
  test.each<[string, Partial<LabState>, RegExp | undefined]>([
    ["a person, also after its starter's end", { owner: 'person', startedBy: dead }, /^a lab is up$/],
    ['the living demo or test run that started it', {}, /^a demo or a test run uses the lab \(process \d+\)$/],
    ['nobody, where that was killed', { startedBy: dead }, undefined],
    ['whoever is bringing it up', { phase: 'starting', owner: 'person' }, /^process \d+ is bringing a lab up$/],
    ['nobody, where that was killed on the way', { phase: 'starting', owner: 'person', startedBy: dead }, undefined],
  ])('%s', (_, change, expected) => {
    const user = userOf({ ...mine, ...change });
    if (expected) expect(user).toMatch(expected);
    else expect(user).toBeUndefined();
  });

  test('nobody, where its starter was killed and only the parent has not noticed', async () => {
    // A shell takes notice of its children's ends, sleep does not: the child ends once the shell has become that.
    const parent = spawn('sh', ['-c', '(read -r _ <&3) & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore', 'pipe'] });
    const [line] = (await once(createInterface({ input: parent.stdout! }), 'line')) as [string];
    await vi.waitFor(() => expect(readFileSync(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n'), { timeout: 4000 });
    (parent.stdio[3] as Writable).end('\n');
    const stat = () => parseProcessStat(readFileSync(`/proc/${line}/stat`, 'utf8'))!;
    await vi.waitFor(() => expect(stat().state).toBe('Z'), { timeout: 5000 });
    expect(userOf({ ...mine, startedBy: stat() })).toBeUndefined();
    parent.kill();
    await once(parent, 'close');
  });

  test('a person, where a version wrote it that did not ask', () => {
    const { owner: _, ...earlier } = mine;
    writeFileSync(join(directory, 'lab.json'), JSON.stringify({ ...earlier, startedBy: dead }));
    expect(userOf(readState(directory)!)).toBe('a lab is up');
  });
});

describe('a process', () => {
  test('takes down its own lab', async () => {
    const down = vi.spyOn(Lab, 'down').mockResolvedValue();
    writeState(directory, mine);
    await Lab.downOwn({ directory });
    expect(down).toHaveBeenCalledOnce();
  });

  test.each<[string, Partial<LabState> | undefined]>([
    ["somebody else's", { startedBy: { pid: process.ppid, startTime: '1' } }],
    ['one that is not there', undefined],
  ])('does not take down %s', async (_, change) => {
    const down = vi.spyOn(Lab, 'down').mockResolvedValue();
    if (change) writeState(directory, { ...mine, ...change });
    await Lab.downOwn({ directory });
    expect(down).not.toHaveBeenCalled();
  });

  test('may leave its lab to a person, who then has it after its end', () => {
    writeState(directory, mine);
    Lab.open(directory).keep();
    expect(readState(directory)).toEqual({ ...mine, owner: 'person' });
    expect(isOwn(readState(directory))).toBe(true);
  });
});

describe('before a lab comes up', () => {
  /** What was done to the host, in order; `fail` is where it ends. */
  async function prepare({ leftovers = false, fail = '' } = {}): Promise<{ done: string[]; error: unknown }> {
    const done: string[] = [];
    const kindOfHost = hostChecks(directory).length + programChecks().length;
    const act = (name: string) => async (): Promise<void> => {
      done.push(name);
      if (name === fail) throw new PreflightError([]);
    };
    const actions = {
      preflight: async (checks: readonly unknown[]) =>
        act(checks.length > kindOfHost ? 'everything is checked' : 'the kind of host is checked')(),
      somethingIsLeft: () => leftovers,
      takeDown: act('leftovers go'),
      ensureTools: act('packages are installed'),
    };
    const settings = { directory, nodes: 3, willListenOn: [], steps: new Steps(() => undefined) };
    const error = await prepareHost(settings, actions).catch((failure: unknown) => failure);
    return { done, error };
  }

  test('a host is checked before anything is changed', async () => {
    expect((await prepare()).done).toEqual(['everything is checked', 'packages are installed']);
    expect((await prepare({ fail: 'everything is checked' })).done).toEqual(['everything is checked']);
  });

  test('what a killed run left goes, but not from a host that is of the wrong kind, and before memory and ports are looked at', async () => {
    writeState(directory, { ...mine, startedBy: dead });
    const { done } = await prepare({ leftovers: true });
    expect(done).toEqual(['the kind of host is checked', 'leftovers go', 'everything is checked', 'packages are installed']);
    expect((await prepare({ leftovers: true, fail: 'the kind of host is checked' })).done).toEqual(['the kind of host is checked']);
  });

  test('a lab that somebody needs is left as it is, and it is said how to end it', async () => {
    writeState(directory, { ...mine, owner: 'person', startedBy: dead });
    const { done, error } = await prepare({ leftovers: true });
    expect(done).toEqual([]);
    expect(error).toBeInstanceOf(LabExistsError);
    expect((error as Error).message).toBe('a lab is up; what takes it down: npm run lab -- down');
  });

  test("a state that cannot be read is nobody's to replace", async () => {
    writeFileSync(join(directory, 'lab.json'), '{}');
    const { done, error } = await prepare({ leftovers: true });
    expect(done).toEqual([]);
    expect(String(error)).toMatch(/lab\.json is another version's: take that lab down by `npm run lab -- down`/);
  });
});
