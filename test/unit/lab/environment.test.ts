import { describe, expect, test } from 'vitest';
import { commandLine, expand, type References, resolveEnvironment } from '../../../lab/kubelet/environment.ts';
import { container, pod } from './pods.ts';

const references: References = {
  nodeAddress: '10.0.0.1',
  secretValue: (name, key) => `secret ${name}/${key}`,
  configMapValue: (name, key) => `config ${name}/${key}`,
  secretValues: (name) => new Map([['USER', `user of ${name}`]]),
  configMapValues: (name) => new Map([['LEVEL', `level of ${name}`]]),
};
const resolved = (env: Parameters<typeof container>[1] & object) =>
  Object.fromEntries(
    resolveEnvironment(pod({ metadata: { labels: { app: 'web' } } }), container('main', env), references, { PATH: '/bin' }),
  );

describe("a container's environment", () => {
  test.each([
    ['metadata.name', 'web-0'],
    ['metadata.namespace', 'default'],
    ['spec.nodeName', 'n1'],
    ['status.hostIP', '10.0.0.1'],
    ["metadata.labels['app']", 'web'],
    ["metadata.annotations['none']", ''],
  ])('gives the field %s', (fieldPath, value) => {
    expect(resolved({ env: [{ name: 'FIELD', valueFrom: { fieldRef: { fieldPath } } }] })).toMatchObject({ FIELD: value, PATH: '/bin' });
  });

  test('gives values of secrets and config maps', () => {
    const env = [
      { name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
      { name: 'B', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } },
    ];
    expect(resolved({ env })).toMatchObject({ A: 'secret s/k', B: 'config c/k' });
  });

  test('gives all of a secret and of a config map, and what is named by itself before that', () => {
    const envFrom = [{ secretRef: { name: 's' } }, { prefix: 'LOG_', configMapRef: { name: 'c' } }];
    const env = [
      { name: 'WHO', value: 'the $(USER)' },
      { name: 'LOG_LEVEL', value: 'mine' },
    ];
    expect(resolved({ envFrom })).toMatchObject({ USER: 'user of s', LOG_LEVEL: 'level of c', PATH: '/bin' });
    expect(resolved({ envFrom, env })).toMatchObject({ WHO: 'the user of s', LOG_LEVEL: 'mine' });
  });

  test('refuses what the lab does not give, by name', () => {
    const env = [{ name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } as object }];
    expect(() => resolved({ env })).toThrow('the lab has no resourceFieldRef for CPU');
    expect(() => resolved({ env: [{ name: 'X', valueFrom: { fieldRef: { fieldPath: 'status.nominatedNodeName' } } }] })).toThrow(
      'status.nominatedNodeName',
    );
  });
});

test.each([
  ['$(A) and $(A)', '1 and 1'],
  ['$(NONE) stays', '$(NONE) stays'],
  ['$$(A) is not expanded', '$(A) is not expanded'],
  ['$(date) and $A, of a shell', '$(date) and $A, of a shell'],
])('references: %s', (text, expected) => {
  expect(expand(text, new Map([['A', '1']]))).toBe(expected);
});

test('a container without a command is refused: there are no images', () => {
  const { command: _, ...imageOnly } = container('main', { args: ['serve'] });
  expect(() => commandLine(imageOnly, new Map())).toThrow('container main has no command');
});
