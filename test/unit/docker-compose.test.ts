import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { SearchAttribute } from '../../core/contracts/names.ts';

interface Service {
  readonly image: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
}

const text = readFileSync(resolve(import.meta.dirname, '../../docker-compose.yml'), 'utf8');
const compose = parse(text, { merge: true });
const services: Record<string, Service> = compose.services;

test('every image is pinned to a version', () => {
  for (const { image } of Object.values(services)) expect(image).toMatch(/:\d+\.\d+(\.\d+)?$/);
});

test('each service waits for what it needs', () => {
  const conditions = Object.entries(services).flatMap(([name, { depends_on = {} }]) =>
    Object.entries(depends_on).map(([needed, { condition }]) => [name, needed, condition]),
  );
  expect(conditions).toEqual([
    ['schema', 'postgresql', 'service_healthy'],
    ['temporal', 'schema', 'service_completed_successfully'],
    ['namespace', 'temporal', 'service_healthy'],
    ['ui', 'temporal', 'service_healthy'],
  ]);
});

test("the namespace gets Rehome's search attributes", () => {
  const named = [...services.namespace!.command!.join('\n').matchAll(/--name (\w+)/g)].map((match) => match[1]);
  expect(named).toEqual(Object.values(SearchAttribute));
});

test('nothing listens beyond this machine', () => {
  const ports = Object.values(services).flatMap((service) => service.ports ?? []);
  expect(ports).toHaveLength(2);
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
});
