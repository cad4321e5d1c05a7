import { describe, expect, test } from 'vitest';
import { inWords, judgeStay, namespaceOfService, type StayFacts } from '../../../core/domain/stay.ts';

const OWN = { rehome: 'rehome-system', temporal: 'temporal' };
const ordinary: StayFacts = { wishes: [], namespace: 'shop', labels: [{ app: 'postgres' }, { 'app.kubernetes.io/name': 'postgresql' }] };

describe('a volume', () => {
  test.each<[string, Partial<StayFacts>]>([
    ['of an application', {}],
    ['that nobody has claimed', { namespace: undefined, labels: [] }],
    ['that is named like etcd by a label that says something else', { labels: [{ team: 'etcd' }] }],
    ['whose label is a name of JavaScript', { labels: [{ app: 'constructor' }] }],
    ['that would be refused, but is wanted to move always', { wishes: ['always'], labels: [{ app: 'etcd' }] }],
  ])('%s may move', (_, change) => {
    expect(judgeStay({ ...ordinary, ...change }, OWN)).toBeUndefined();
  });

  test.each<[string, Partial<StayFacts>, string]>([
    ['that somebody wants to stay', { wishes: ['never'] }, 'annotation rehome.io/move=never'],
    ['of which one object says never and the other always', { wishes: ['always', 'never'] }, 'annotation rehome.io/move=never'],
    ['with a word that nobody knows', { wishes: ['Never'] }, 'annotation rehome.io/move=Never is neither never nor always'],
    ['that would be refused, too', { wishes: ['never'], namespace: 'temporal' }, 'annotation rehome.io/move=never'],
  ])('%s is kept', (_, change, why) => {
    expect(judgeStay({ ...ordinary, ...change }, OWN)).toEqual({ kind: 'kept', why });
  });

  test.each<[string, Partial<StayFacts>, string]>([
    ['in Rehome’s namespace', { namespace: 'rehome-system' }, 'Rehome runs on it (namespace rehome-system)'],
    ['in the namespace of its Temporal', { namespace: 'temporal' }, 'Temporal runs on it (namespace temporal)'],
    [
      'whose claim is labelled as a chart does it',
      { labels: [{ 'app.kubernetes.io/name': 'etcd' }] },
      'etcd runs on it (label app.kubernetes.io/name=etcd)',
    ],
    ['one of whose pods is labelled', { labels: [{}, { component: 'etcd' }] }, 'etcd runs on it (label component=etcd)'],
    [
      'of a Temporal elsewhere',
      { labels: [{ 'app.kubernetes.io/part-of': 'temporal' }] },
      'Temporal runs on it (label app.kubernetes.io/part-of=temporal)',
    ],
  ])('%s is refused', (_, change, why) => {
    expect(judgeStay({ ...ordinary, ...change }, OWN)).toEqual({ kind: 'refused', why });
  });

  test('without a claim is in nobody’s namespace, also where Temporal’s is not known', () => {
    expect(judgeStay({ ...ordinary, namespace: undefined }, { ...OWN, temporal: undefined })).toBeUndefined();
  });
});

test('what is refused says how a person decides', () => {
  expect(inWords('data', { kind: 'refused', why: 'etcd runs on it' })).toBe(
    'data must not move (etcd runs on it; annotation rehome.io/move=never or always decides)',
  );
});

test.each<[string, string | undefined]>([
  ['temporal-frontend.temporal:7233', 'temporal'],
  ['temporal-frontend.temporal.svc:7233', 'temporal'],
  ['temporal-frontend.temporal.svc.cluster.local:7233', 'temporal'],
  ['temporal-frontend:7233', undefined],
  ['temporal-frontend.default:7233', undefined],
  ['temporal.example.com:7233', undefined],
  ['10.0.0.11:7233', undefined],
])('Temporal at %s has its pods in namespace %s', (address, namespace) => {
  expect(namespaceOfService(address)).toBe(namespace);
});
