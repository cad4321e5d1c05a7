import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');

/**
 * What each folder may import of the project, besides itself. `core` stands on nothing, so that decisions stay pure; workflows never reach the
 * world outside; the lab, and the tests on its nodes, look at nodes with their own eyes, so that a check and the code it checks cannot share a mistake.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'core/contracts': [],
  'core/domain': ['core/contracts'],
  system: ['core'],
  workflows: ['core'],
  activities: ['core', 'system'],
  triggers: ['core', 'system', 'activities'],
  reconcilers: ['core', 'system', 'activities'],
  worker: ['core', 'system', 'activities', 'triggers', 'reconcilers'],
  lab: [],
  deploy: ['core/contracts'],
  'test/lab': ['lab'],
  'test/lab-long': ['lab', 'test/lab'],
  'test/chaos': ['lab', 'test/lab'],
};
/** `system` may use one kind of decision only: what to do next with an object it has just read. */
const SYSTEM_DECISIONS = ['core/contracts/', 'core/domain/rebind.ts'];

const folderOf = (path: string): string => Object.keys(ALLOWED).find((folder) => path.startsWith(`${folder}/`)) ?? '';

function importsOf(path: string): string[] {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) => match[1]!);
  return specifiers.map((specifier) => relative(ROOT, resolve(ROOT, dirname(path), specifier)));
}

function violations(path: string): string[] {
  const folder = folderOf(path);
  const allowed = [folder, ...ALLOWED[folder]!].map((name) => `${name}/`);
  return importsOf(path)
    .filter((target) => !allowed.some((prefix) => target.startsWith(prefix)))
    .concat(
      folder === 'system'
        ? importsOf(path).filter((target) => target.startsWith('core/') && !SYSTEM_DECISIONS.some((prefix) => target.startsWith(prefix)))
        : [],
    )
    .map((target) => `${path} imports ${target}`);
}

const sources = globSync(
  Object.keys(ALLOWED).map((folder) => `${folder}/**/*.ts`),
  { cwd: ROOT },
);

test('every folder imports only what lies beneath it', () => {
  expect(sources.length).toBeGreaterThan(5);
  expect(sources.flatMap(violations)).toEqual([]);
});

test('a decision follows from its facts alone: no clock, no chance, nothing of the world', () => {
  const decisions = globSync('core/domain/**/*.ts', { cwd: ROOT });
  expect(decisions.length).toBeGreaterThan(5);
  const worldly =
    /\b(?:Date\.now|new Date\(\)|Math\.random|performance\.now|process\.|setTimeout|setInterval|fetch\(|crypto\b)|from '(?!\.)/;
  expect(decisions.filter((path) => worldly.test(readFileSync(join(ROOT, path), 'utf8')))).toEqual([]);
});

test('no file of the sources is longer than 400 lines', () => {
  const long = globSync([...Object.keys(ALLOWED).map((folder) => `${folder}/**/*.ts`), 'test/**/*.ts'], { cwd: ROOT }).filter(
    (path) => readFileSync(join(ROOT, path), 'utf8').split('\n').length > 400,
  );
  expect(long).toEqual([]);
});

test('workflows never load zod, which every cached workflow would pay for', () => {
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(join(ROOT, path), 'utf8');
    expect(text, `${path} must not load zod: a workflow reaches it`).not.toMatch(/^import (?!type).*from 'zod'/m);
    for (const line of text.split('\n').filter((candidate) => /^(import|export) (?!type)/.test(candidate))) {
      const specifier = /from '(\.[^']+)'/.exec(line)?.[1];
      if (specifier) visit(relative(ROOT, resolve(ROOT, dirname(path), specifier)));
    }
  };
  for (const path of globSync('workflows/**/*.ts', { cwd: ROOT })) visit(path);
});
