import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { customResourceDefinitionFiles } from '../../../deploy/custom-resource-definitions.ts';

const DIRECTORY = resolve(import.meta.dirname, '../../../deploy/crds');
const generated = customResourceDefinitionFiles();

test('the committed definitions are what the schemas generate (else: npm run generate:crds)', () => {
  const committed = new Map(readdirSync(DIRECTORY).map((name) => [name, readFileSync(join(DIRECTORY, name), 'utf8')]));
  expect(committed).toEqual(new Map([...generated].sort(([a], [b]) => a.localeCompare(b))));
});

describe.each([...generated])('%s', (_, content) => {
  const { spec } = parse(content);
  const [version] = spec.versions;

  test('is cluster-scoped, with a status of its own', () => {
    expect(spec.scope).toBe('Cluster');
    expect(version.subresources).toEqual({ status: {} });
  });

  test('says nothing that the API server refuses in a structural schema', () => {
    const refused = /"(\$schema|\$ref|const|propertyNames|anyOf|oneOf|additionalProperties":\s*(false|\{\}))"?/;
    expect(JSON.stringify(version.schema)).not.toMatch(refused);
  });
});

test.each([
  ['localstoragenodes', 'lsn', ['ip', 'status', 'age'], ['PoolHDD FreeCap', 'PoolSSD FreeCap', 'PoolNVMe FreeCap', 'evacuated']],
  ['localvolumes', 'lv', ['pool', 'replicas', 'capacity', 'used', 'state', 'published', 'age'], ['resource', 'fstype', 'group']],
  ['localvolumereplicas', 'lvr', ['capacity', 'node', 'state', 'synced', 'device', 'age'], []],
  ['localvolumegroups', 'lvg', ['pod', 'namespace', 'age'], []],
  ['localvolumemigrates', 'lvmigrate', ['volume', 'from', 'to', 'state', 'age'], ['phase', 'percent', 'message']],
])('%s show the columns that HwameiStor shows, and the rest with -o wide', (plural, shortName, columns, wide) => {
  const { spec } = parse(generated.get(`${plural}.yaml`)!);
  const shown: { name: string; priority?: number }[] = spec.versions[0].additionalPrinterColumns;
  expect(spec.names.shortNames).toEqual([shortName]);
  expect(shown.filter(({ priority }) => !priority).map(({ name }) => name)).toEqual(columns);
  expect(shown.filter(({ priority }) => priority).map(({ name }) => name)).toEqual(wide);
});
