/** Prints what the lab's programs and nodes have to say when a test fails: a moment later the lab is gone, and what it could tell with it. */
import { readFile } from 'node:fs/promises';
import { afterEach } from 'vitest';
import { Lab } from '../../lab/index.ts';

const LAST_LINES = 40;
const NODE_SECONDS = 20;

afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return;
  const lab = Lab.open();
  const told = await Promise.all([
    section('controller', async () => lastLines(await readFile(lab.logFile('controller'), 'utf8'))),
    section('migrations', async () => (await lab.kubectl(['get', 'localvolumemigrates', '-o', 'wide'])).stdout),
    ...lab.machines.map(({ name }) => section(name, () => tellOfNode(lab, name))),
  ]);
  const why = task.result.errors?.map(({ message }) => message).join('\n');
  console.error(`${task.name} has failed: ${why}\nWhat the lab says:\n${told.join('\n')}`);
});

async function tellOfNode(lab: Lab, node: string): Promise<string> {
  const machine = lab.machine(node);
  const tell = async (command: string) =>
    (await machine.exec(`${command} 2>&1 | tail -n ${LAST_LINES}`, { timeoutSeconds: NODE_SECONDS })).stdout;
  const agent = await lab.agentLogCommand(node, false).then(tell, inWords);
  // A program in uninterruptible sleep (D) waits for a device.
  const state = await tell('cat /proc/drbd; dmsetup info -c; ps -o pid,stat,args | grep -E "lv|vg|dmsetup|drbd"; dmesg | tail -n 15').catch(
    inWords,
  );
  return `${agent}\n${state}`;
}

async function section(title: string, tell: () => Promise<string>): Promise<string> {
  return `--- ${title}\n${await tell().catch(inWords)}`;
}

const lastLines = (text: string): string => text.trimEnd().split('\n').slice(-LAST_LINES).join('\n');
const inWords = (error: unknown): string => (error instanceof Error ? error.message : String(error));
