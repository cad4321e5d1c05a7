/** Results as markdown, with the machine they were measured on, and their place in docs/performance.md. */
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { run } from '../command.ts';
import type { Site } from './site.ts';

const DOCUMENT = join(import.meta.dirname, '..', '..', 'docs', 'performance.md');

/** @param rows the first is the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const [heading = [], ...body] = rows;
  const widths = heading.map((_, column) => Math.max(3, ...rows.map((cells) => cells[column]!.length)));
  const line = (cells: readonly string[]): string => `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  return [line(heading), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

/** The machine, and what the nodes run. Read when volumes have moved: a node loads DRBD for its first mirror. */
export async function describeMachine({ source }: Site): Promise<string> {
  const inNode = async (script: string): Promise<string> => (await source.exec(script)).stdout.trim();
  const { stdout: qemu } = await run('qemu-system-x86_64', ['--version']);
  const memory = await inNode("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo");
  return table([
    ['measured', new Date().toISOString().slice(0, 10)],
    [
      'machine',
      `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} processors, ${gibibytes(totalmem())}, Linux ${release()}`,
    ],
    ['nodes', `2, emulated without KVM (${qemu.split('\n')[0]}), ${await inNode('nproc')} processors, ${gibibytes(Number(memory) * 1024)}`],
    [
      'nodes run',
      `Linux ${await inNode('uname -r')}, DRBD ${await inNode('cat /sys/module/drbd/version')}, LVM ${lvm(await inNode('lvm version'))}`,
    ],
  ]);
}

/** Of `  LVM version:     2.03.16(2) (2022-05-18)`. */
function lvm(text: string): string {
  return /LVM version: *([\d.]+)/.exec(text)?.[1] ?? 'unknown';
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

export async function writeToDocument(section: string, text: string): Promise<void> {
  await writeFile(DOCUMENT, replaceSection(await readFile(DOCUMENT, 'utf8'), section, text));
}

/** Between `<!-- bench SECTION -->` and `<!-- end of bench SECTION -->`. @throws where the document has no such section. */
export function replaceSection(document: string, section: string, text: string): string {
  const [begin, end] = [`<!-- bench ${section} -->`, `<!-- end of bench ${section} -->`];
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the document has no section between ${begin} and ${end}`);
  return `${document.slice(0, from + begin.length)}\n\n${text}\n\n${document.slice(to)}`;
}
