import { describe, expect, test } from 'vitest';
import { nodes, pathOf, pods } from '../../../../system/kube/resources.ts';

describe('the path of', () => {
  test.each([
    ['a cluster-scoped object', () => pathOf(nodes, { name: 'n1' }), '/api/v1/nodes/n1'],
    ['a status', () => pathOf(nodes, { name: 'n1' }, 'status'), '/api/v1/nodes/n1/status'],
    ['an object in a namespace', () => pathOf(pods, { name: 'p', namespace: 'a' }), '/api/v1/namespaces/a/pods/p'],
    ['all of a kind', () => pathOf(pods, {}), '/api/v1/pods'],
    ['a name that is not a path', () => pathOf(nodes, { name: '../pods' }), '/api/v1/nodes/..%2Fpods'],
  ])('%s', (_, path, expected) => {
    expect(path()).toBe(expected);
  });

  test.each(['.', '..'])('an object called %s is refused, which would be another path', (name) => {
    expect(() => pathOf(nodes, { name })).toThrow(`Node cannot be called ${name}`);
  });

  test('an object without its namespace is refused before it is asked for', () => {
    expect(() => pathOf(pods, { name: 'p' })).toThrow('Pod p is named without its namespace');
  });
});
