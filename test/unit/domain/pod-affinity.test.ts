import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AffinePod, type PlacedPod, type PodAffinityTerm, topologyRules } from '../../../core/domain/pod-affinity.ts';
import { podRefusal } from '../../../core/domain/pod-fit.ts';

const HOST = 'kubernetes.io/hostname';
const ZONE = 'topology.kubernetes.io/zone';

const app = (name: string, change: Partial<PodAffinityTerm> = {}): PodAffinityTerm => ({
  topologyKey: HOST,
  labelSelector: { matchLabels: { app: name } },
  ...change,
});
const pod = (name: string, change: Partial<AffinePod> = {}): AffinePod => ({
  namespace: 'default',
  labels: { app: name },
  affinity: [],
  antiAffinity: [],
  ...change,
});
const NODES = { n2: { [HOST]: 'n2', [ZONE]: 'a' }, n3: { [HOST]: 'n3', [ZONE]: 'b' }, n4: { [HOST]: 'n4', [ZONE]: 'b' } } as const;
type NodeName = keyof typeof NODES;
const on = (node: NodeName, running: AffinePod): PlacedPod => ({ ...running, nodeLabels: NODES[node] });

function refusalOn(node: NodeName, incoming: AffinePod, others: readonly PlacedPod[], along: readonly AffinePod[] = []) {
  const traits = { name: node, labels: NODES[node], taints: [] };
  return podRefusal({ tolerations: [], nodeSelector: {}, topology: topologyRules(incoming, along, others) }, traits);
}
const admitting = (incoming: AffinePod, others: readonly PlacedPod[], along: readonly AffinePod[] = []) =>
  (Object.keys(NODES) as NodeName[]).filter((node) => refusalOn(node, incoming, others, along) === undefined);

const cacheInN2 = [on('n2', pod('cache'))];
const expression = (operator: string, values?: string[]) => ({ matchExpressions: [{ key: 'app', operator, ...(values && { values }) }] });

describe('a pod that must be beside others', () => {
  test.each<[string, AffinePod, readonly PlacedPod[], readonly string[]]>([
    ['goes where one is', pod('web', { affinity: [app('cache')] }), cacheInN2, ['n2']],
    [
      'goes to the zone where one is',
      pod('web', { affinity: [app('cache', { topologyKey: ZONE })] }),
      [on('n3', pod('cache'))],
      ['n3', 'n4'],
    ],
    ['goes nowhere where there is none', pod('web', { affinity: [app('cache')] }), [], []],
    ['goes anywhere if it is the first of its own kind', pod('web', { affinity: [app('web')] }), cacheInN2, ['n2', 'n3', 'n4']],
    ['goes beside the first of its own kind', pod('web', { affinity: [app('web')] }), [on('n3', pod('web'))], ['n3']],
    ['goes to no node without the label of the place', pod('web', { affinity: [app('web', { topologyKey: 'rack' })] }), [], []],
    [
      'goes where one is that all of its terms select',
      pod('web', { affinity: [app('cache'), { topologyKey: ZONE, labelSelector: { matchLabels: { tier: 'back' } } }] }),
      [on('n2', pod('cache')), on('n3', pod('cache', { labels: { app: 'cache', tier: 'back' } }))],
      ['n3'],
    ],
    [
      'goes nowhere if no namespace of its own has one',
      pod('web', { affinity: [app('cache')] }),
      [on('n2', pod('cache', { namespace: 'other' }))],
      [],
    ],
    [
      'goes where one of the named namespaces has one',
      pod('web', { affinity: [app('cache', { namespaces: ['other'] })] }),
      [on('n2', pod('cache')), on('n3', pod('cache', { namespace: 'other' }))],
      ['n3'],
    ],
    [
      'goes where any namespace has one, if it selects namespaces',
      pod('web', { affinity: [app('cache', { namespaceSelector: {} })] }),
      [on('n2', pod('cache', { namespace: 'other' }))],
      ['n2'],
    ],
    ['selects nothing without a selector', pod('web', { affinity: [{ topologyKey: HOST }] }), cacheInN2, []],
    ['selects everything with an empty one', pod('web', { affinity: [{ topologyKey: HOST, labelSelector: {} }] }), cacheInN2, ['n2']],
    ['selects by In', pod('web', { affinity: [app('', { labelSelector: expression('In', ['cache']) })] }), cacheInN2, ['n2']],
    ['selects by NotIn', pod('web', { affinity: [app('', { labelSelector: expression('NotIn', ['cache', 'web']) })] }), cacheInN2, []],
    ['selects by Exists', pod('web', { affinity: [app('', { labelSelector: expression('Exists') })] }), cacheInN2, ['n2']],
  ])('%s', (_, incoming, others, expected) => {
    expect(admitting(incoming, others)).toEqual(expected);
  });

  test('goes anywhere if one comes along with its volumes', () => {
    expect(admitting(pod('web', { affinity: [app('cache')] }), [], [pod('cache')])).toEqual(['n2', 'n3', 'n4']);
  });

  test('is refused by other nodes with that reason', () => {
    expect(refusalOn('n3', pod('web', { affinity: [app('cache')] }), cacheInN2)).toBe('PodAffinityMismatch');
  });
});

describe('a pod that must keep away from others', () => {
  test.each<[string, AffinePod, readonly PlacedPod[], readonly string[]]>([
    ['goes where none is', pod('web', { antiAffinity: [app('cache')] }), cacheInN2, ['n3', 'n4']],
    [
      'goes to no node of their zone',
      pod('web', { antiAffinity: [app('cache', { topologyKey: ZONE })] }),
      [on('n4', pod('cache'))],
      ['n2'],
    ],
    [
      'goes where no other replica of its StatefulSet is',
      pod('db', { antiAffinity: [app('db')] }),
      [on('n2', pod('db')), on('n3', pod('db'))],
      ['n4'],
    ],
    [
      'goes anywhere where the label of the place is unknown',
      pod('web', { antiAffinity: [app('cache', { topologyKey: 'rack' })] }),
      cacheInN2,
      ['n2', 'n3', 'n4'],
    ],
    [
      'keeps away from what each of its terms selects',
      pod('web', { antiAffinity: [app('cache'), app('db')] }),
      [...cacheInN2, on('n3', pod('db'))],
      ['n4'],
    ],
    [
      'may be beside those of another namespace',
      pod('web', { antiAffinity: [app('cache')] }),
      [on('n2', pod('cache', { namespace: 'other' }))],
      ['n2', 'n3', 'n4'],
    ],
    [
      'keeps away from those of every namespace, if it selects namespaces',
      pod('web', { antiAffinity: [app('cache', { namespaceSelector: { matchLabels: { team: 'a' } } })] }),
      [on('n2', pod('cache', { namespace: 'other' }))],
      ['n3', 'n4'],
    ],
    ['is kept away by those that keep away from it', pod('web'), [on('n2', pod('cache', { antiAffinity: [app('web')] }))], ['n3', 'n4']],
    [
      'is kept away by those of another namespace only if they name its own',
      pod('web'),
      [
        on('n2', pod('cache', { namespace: 'other', antiAffinity: [app('web')] })),
        on('n3', pod('cache', { namespace: 'other', antiAffinity: [app('web', { namespaces: ['default'] })] })),
      ],
      ['n2', 'n4'],
    ],
    [
      'is not kept away by those that only want to be beside others',
      pod('web'),
      [on('n2', pod('cache', { affinity: [app('db')] }))],
      ['n2', 'n3', 'n4'],
    ],
  ])('%s', (_, incoming, others, expected) => {
    expect(admitting(incoming, others)).toEqual(expected);
  });

  test('is refused by their node with that reason', () => {
    expect(refusalOn('n2', pod('web', { antiAffinity: [app('cache')] }), cacheInN2)).toBe('PodAntiAffinityMismatch');
  });
});

test('pods that come one after the other, each where it may, never stand beside one that either keeps away from, nor without one they must be beside', () => {
  const term = fc.record({
    topologyKey: fc.constantFrom(HOST, ZONE),
    labelSelector: fc.constantFrom('a', 'b').map((name) => ({ matchLabels: { app: name } })),
    namespaces: fc.constantFrom([], ['x'], ['x', 'y']),
  });
  const some = fc.array(term, { maxLength: 1 });
  const incoming = fc.record({
    namespace: fc.constantFrom('x', 'y'),
    labels: fc.record({ app: fc.constantFrom('a', 'b') }),
    affinity: some,
    antiAffinity: some,
  });
  const selected = ({ labelSelector, namespaces }: PodAffinityTerm, by: AffinePod, other: AffinePod) =>
    other.labels.app === labelSelector?.matchLabels?.app && (namespaces?.length ? namespaces : [by.namespace]).includes(other.namespace);
  const samePlace = ({ topologyKey }: PodAffinityTerm, a: PlacedPod, b: PlacedPod) =>
    a.nodeLabels[topologyKey] === b.nodeLabels[topologyKey];

  fc.assert(
    fc.property(fc.array(fc.tuple(incoming, fc.constantFrom<NodeName>('n2', 'n3', 'n4')), { maxLength: 8 }), (arrivals) => {
      const running: PlacedPod[] = [];
      for (const [arriving, node] of arrivals) {
        const isAdmitted = admitting(arriving, running).includes(node);
        const now = on(node, arriving);
        const [wanted] = now.affinity;
        const apart = running.every((other) =>
          [[now, other] as const, [other, now] as const].every(([one, two]) =>
            one.antiAffinity.every((each) => !selected(each, one, two) || !samePlace(each, one, two)),
          ),
        );
        const known = wanted ? running.filter((other) => selected(wanted, now, other)) : [];
        const beside =
          !wanted || known.some((other) => samePlace(wanted, now, other)) || (known.length === 0 && selected(wanted, now, now));
        expect(isAdmitted).toBe(apart && beside);
        if (isAdmitted) running.push(now);
      }
    }),
  );
});
