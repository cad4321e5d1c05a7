import { describe, expect, test } from 'vitest';
import {
  type NodeRequirement,
  type NodeTerm,
  type PodConstraints,
  podRefusal,
  type Taint,
  type Toleration,
} from '../../../core/domain/pod-fit.ts';

const node = (labels: Record<string, string>, ...taints: Taint[]) => ({ name: 'n2', labels, taints });
const pod = (change: Partial<PodConstraints>): PodConstraints => ({ tolerations: [], nodeSelector: {}, ...change });

describe('taints', () => {
  const dedicated: Taint = { key: 'dedicated', value: 'db', effect: 'NoSchedule' };

  test.each<[string, Taint, Toleration[], boolean]>([
    ['a pod without tolerations is kept away', dedicated, [], false],
    ['NoExecute keeps away as well', { ...dedicated, effect: 'NoExecute' }, [], false],
    ['PreferNoSchedule keeps nobody away', { ...dedicated, effect: 'PreferNoSchedule' }, [], true],
    ['the same key and value are tolerated', dedicated, [{ key: 'dedicated', value: 'db' }], true],
    ['another value is not', dedicated, [{ key: 'dedicated', operator: 'Equal', value: 'web' }], false],
    ['another key is not', dedicated, [{ key: 'other', operator: 'Exists' }], false],
    ['Exists asks for no value', dedicated, [{ key: 'dedicated', operator: 'Exists' }], true],
    ['Exists without a key tolerates everything', dedicated, [{ operator: 'Exists' }], true],
    ['Equal without a key tolerates nothing', dedicated, [{ value: 'db' }], false],
    ['a toleration of another effect does not count', dedicated, [{ operator: 'Exists', effect: 'NoExecute' }], false],
    ['a taint without a value is tolerated by a toleration without one', { key: 'k', effect: 'NoSchedule' }, [{ key: 'k' }], true],
    ['an operator that nobody knows tolerates nothing', dedicated, [{ key: 'dedicated', operator: 'Like', value: 'db' }], false],
  ])('%s', (_, taint, tolerations, runs) => {
    expect(podRefusal(pod({ tolerations }), node({}, taint))).toBe(runs ? undefined : 'NodeTainted');
  });

  test('every taint must be tolerated', () => {
    const both = node({}, dedicated, { key: 'gpu', effect: 'NoSchedule' });
    expect(podRefusal(pod({ tolerations: [{ key: 'gpu', operator: 'Exists' }] }), both)).toBe('NodeTainted');
  });
});

describe('labels', () => {
  const labels = { disk: 'ssd', rack: '7' };
  const requires = (...matchExpressions: NodeRequirement[]): NodeTerm => ({ matchExpressions });

  test.each<[string, Partial<PodConstraints>, boolean]>([
    ['no wish at all', {}, true],
    ['a selector that matches', { nodeSelector: { disk: 'ssd' } }, true],
    ['a selector of which one label differs', { nodeSelector: { disk: 'ssd', rack: '8' } }, false],
    ['a selector for a label that the node has not', { nodeSelector: { zone: 'a' } }, false],
    ['In', { nodeTerms: [requires({ key: 'disk', operator: 'In', values: ['hdd', 'ssd'] })] }, true],
    ['In without the value', { nodeTerms: [requires({ key: 'disk', operator: 'In', values: ['hdd'] })] }, false],
    ['In for a label that the node has not', { nodeTerms: [requires({ key: 'zone', operator: 'In', values: ['a'] })] }, false],
    ['NotIn with the value', { nodeTerms: [requires({ key: 'disk', operator: 'NotIn', values: ['ssd'] })] }, false],
    ['NotIn for a label that the node has not', { nodeTerms: [requires({ key: 'zone', operator: 'NotIn', values: ['a'] })] }, true],
    ['Exists', { nodeTerms: [requires({ key: 'disk', operator: 'Exists' })] }, true],
    ['Exists for a label that the node has not', { nodeTerms: [requires({ key: 'zone', operator: 'Exists' })] }, false],
    ['a key that every object of the language has', { nodeTerms: [requires({ key: 'constructor', operator: 'Exists' })] }, false],
    ['DoesNotExist', { nodeTerms: [requires({ key: 'zone', operator: 'DoesNotExist' })] }, true],
    ['DoesNotExist for a label that the node has', { nodeTerms: [requires({ key: 'disk', operator: 'DoesNotExist' })] }, false],
    ['Gt', { nodeTerms: [requires({ key: 'rack', operator: 'Gt', values: ['6'] })] }, true],
    ['Gt of the same number', { nodeTerms: [requires({ key: 'rack', operator: 'Gt', values: ['7'] })] }, false],
    ['Lt', { nodeTerms: [requires({ key: 'rack', operator: 'Lt', values: ['10'] })] }, true],
    ['Lt of a label that is no number', { nodeTerms: [requires({ key: 'disk', operator: 'Lt', values: ['10'] })] }, false],
    ['an operator that nobody knows', { nodeTerms: [requires({ key: 'disk', operator: 'Like', values: ['ssd'] })] }, false],
    [
      'one of two terms',
      { nodeTerms: [requires({ key: 'zone', operator: 'Exists' }), requires({ key: 'disk', operator: 'Exists' })] },
      true,
    ],
    [
      'a term of which one requirement fails',
      { nodeTerms: [requires({ key: 'disk', operator: 'Exists' }, { key: 'zone', operator: 'Exists' })] },
      false,
    ],
    ['an empty term', { nodeTerms: [{}] }, false],
    ['no term at all', { nodeTerms: [] }, false],
    ['the name of the node', { nodeTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n2'] }] }] }, true],
    [
      'the name of another node, as pods of a DaemonSet have it',
      { nodeTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }] },
      false,
    ],
    ['a selector beside a term', { nodeSelector: { rack: '8' }, nodeTerms: [requires({ key: 'disk', operator: 'Exists' })] }, false],
  ])('%s', (_, constraints, runs) => {
    expect(podRefusal(pod(constraints), node(labels))).toBe(runs ? undefined : 'NodeSelectorMismatch');
  });
});
