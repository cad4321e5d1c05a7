/** Tests that a page names as its evidence exist: one that is renamed or removed takes the page with it. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGE = 'docs/hwameistor-failures.md';

/** The titles of a file's describes, tests and rows of tables of tests. */
function titlesOf(file: string): ReadonlySet<string> {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const called = /\b(?:describe|test)\b[\w.]*(?:<.*?>)?\(\s*(['"])(.*?)\1,/g;
  const afterTable = /^ *\][\w ]*\)\(\s*(['"])(.*?)\1,/gm;
  const rows = /^ *\[\s*(['"])(.*?)\1,/gm;
  return new Set([called, afterTable, rows].flatMap((pattern) => [...text.matchAll(pattern)].map(([, , title = '']) => title)));
}

/** In the page a test is `` `file`: _title_ ``; more of the same file follow after a semicolon, the title of a describe or a table before a ›. */
function namedIn(page: string): { readonly file: string; readonly title: string }[] {
  return [...page.matchAll(/`(test\/[\w/.-]+\.ts)`: ((?:_.+?_(?:; | › )?)+)/g)].flatMap(([, file = '', titles = '']) =>
    [...titles.matchAll(/_(.+?)_/g)].map(([, title = '']) => ({ file, title })),
  );
}

test('every test that the page on failures names is there, and every row names one', () => {
  const page = readFileSync(join(ROOT, PAGE), 'utf8');
  const missing = namedIn(page).filter(({ file, title }) => !existsSync(join(ROOT, file)) || !titlesOf(file).has(title));
  expect(missing).toEqual([]);
  const rows = page.split('\n').filter((line) => line.startsWith('| ') && !/^\| (What goes wrong|-)/.test(line));
  expect(rows.length).toBeGreaterThan(20);
  expect(rows.filter((row) => namedIn(row).length === 0)).toEqual([]);
});
