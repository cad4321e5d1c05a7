import { readFileSync } from 'node:fs';

/** Output as a program once printed it. */
export function fixture(name: string): string {
  return readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');
}
