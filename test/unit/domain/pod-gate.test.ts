import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PHASES } from '../../../core/contracts/phases.ts';
import { type NodeTerm, type PodConstraints, podRefusal } from '../../../core/domain/pod-fit.ts';
import { admitPod, type ClaimFacts, requireAlso, withoutRequirementsOf } from '../../../core/domain/pod-gate.ts';

const bound: ClaimFacts = { volume: 'data', bindsPods: true, nodes: ['n1'], upToDateNodes: ['n1'], evictedFrom: [], drained: [] };
const free: ClaimFacts = { ...bound, bindsPods: false };
const away = (phase: (typeof PHASES)[number], hasTarget = true) => ({ sourceNode: 'n1', phase, hasTarget, isAsked: false });

describe('a pod whose PersistentVolume names its node', () => {
  test('is scheduled as it is where nothing moves, and while a drain moves its volume', () => {
    for (const migration of [undefined, away('Syncing')]) {
      expect(admitPod([{ ...bound, drained: ['n1'], migration }])).toEqual({ waitsFor: [], nodeLists: [] });
    }
  });

  test('waits from the eviction of a pod to the moment at which the volume has left', () => {
    const evicted = { ...bound, evictedFrom: ['n1'] };
    const waiting = { waitsFor: ['volume data to leave node n1'], nodeLists: [] };
    expect(admitPod([evicted])).toEqual(waiting);
    for (const phase of PHASES.filter((each) => !['RemovingSource', 'Completed'].includes(each))) {
      expect(admitPod([{ ...evicted, nodes: ['n2'], migration: away(phase) }]), phase).toEqual(waiting);
    }
    expect(admitPod([{ ...evicted, nodes: ['n2'], migration: away('RemovingSource') }]).waitsFor).toEqual([]);
    const parked = { ...away('NeedsAttention'), parkedIn: 'RemovingSource' as const };
    expect(admitPod([{ ...evicted, nodes: ['n2'], migration: parked }]).waitsFor).toEqual([]);
    expect(admitPod([{ ...evicted, nodes: ['n2'] }]).waitsFor).toEqual([]);
  });

  test.each([
    ['Pending', false, true],
    ['Reserving', false, false],
    ['AwaitingDetach', true, true],
    ['Syncing', true, true],
    ['CuttingOver', true, true],
    ['RemovingSource', true, false],
    ['Aborting', true, false],
    ['NeedsAttention', false, false],
  ] as const)('waits in phase %s of a migration that somebody asked for, with a target: %s -> %s', (phase, hasTarget, waits) => {
    const migration = { ...away(phase, hasTarget), isAsked: true };
    expect(admitPod([{ ...bound, migration }]).waitsFor).toHaveLength(waits ? 1 : 0);
  });

  test('waits while a migration is parked that somebody asked for, from when it has a target', () => {
    const parked = { ...away('NeedsAttention'), parkedIn: 'Syncing' as const, isAsked: true };
    expect(admitPod([{ ...bound, migration: parked }]).waitsFor).toHaveLength(1);
    expect(admitPod([{ ...bound, migration: { ...parked, parkedIn: 'RemovingSource' } }]).waitsFor).toEqual([]);
  });

  test('waits for each of its volumes', () => {
    const other = { ...bound, volume: 'log', evictedFrom: ['n1'] };
    expect(admitPod([{ ...bound, evictedFrom: ['n1'] }, other]).waitsFor).toHaveLength(2);
  });
});

describe('a pod whose PersistentVolume names no node', () => {
  test('is sent to a node that holds an up-to-date replica', () => {
    expect(admitPod([{ ...free, nodes: ['n2', 'n1'], upToDateNodes: ['n2', 'n1'] }])).toEqual({ waitsFor: [], nodeLists: [['n1', 'n2']] });
    expect(admitPod([{ ...free, nodes: ['n1', 'n2'], upToDateNodes: ['n2'] }]).nodeLists).toEqual([['n2']]);
  });

  test('says one thing once for volumes on the same node, and both for volumes that are apart', () => {
    expect(admitPod([free, { ...free, volume: 'log' }]).nodeLists).toEqual([['n1']]);
    expect(admitPod([free, { ...free, volume: 'log', nodes: ['n2'], upToDateNodes: ['n2'] }]).nodeLists).toEqual([['n1'], ['n2']]);
  });

  test.each([
    ['no replica is up to date', { upToDateNodes: [] }, 'an up-to-date replica of volume data'],
    ['its node is being emptied', { drained: ['n1'] }, 'volume data to leave node n1'],
    ['a migration has a target', { migration: away('AwaitingDetach') }, 'volume data to leave node n1'],
    ['a pod was evicted', { evictedFrom: ['n1'] }, 'volume data to leave node n1'],
  ] as const)('waits while %s', (_, facts, waitsFor) => {
    expect(admitPod([{ ...free, ...facts }])).toEqual({ waitsFor: [waitsFor], nodeLists: [] });
  });

  test('is sent to the replica that stays where another is about to leave', () => {
    const both = { nodes: ['n1', 'n2'], upToDateNodes: ['n1', 'n2'], drained: ['n1'] };
    expect(admitPod([{ ...free, ...both }])).toEqual({ waitsFor: [], nodeLists: [['n2']] });
  });

  test('does not wait for a migration that has no target: it may take long, or never go', () => {
    expect(admitPod([{ ...free, migration: away('Reserving', false) }])).toEqual({ waitsFor: [], nodeLists: [['n1']] });
  });
});

test('a pod either waits or is sent to nodes with an up-to-date replica that stays there, whatever goes on', () => {
  const names = fc.subarray(['n1', 'n2', 'n3']);
  const migration = fc.option(
    fc.record({
      sourceNode: fc.constantFrom('n1', 'n2', 'n3'),
      phase: fc.constantFrom(...PHASES),
      hasTarget: fc.boolean(),
      isAsked: fc.boolean(),
    }),
    {
      nil: undefined,
    },
  );
  const claim = fc.record({
    volume: fc.constant('data'),
    bindsPods: fc.boolean(),
    nodes: names,
    upToDateNodes: names,
    evictedFrom: names,
    drained: names,
    migration,
  });
  fc.assert(
    fc.property(claim, (facts) => {
      const { waitsFor, nodeLists } = admitPod([facts]);
      if (facts.evictedFrom.some((node) => facts.nodes.includes(node))) expect(waitsFor).toHaveLength(1);
      if (facts.bindsPods) expect(nodeLists).toEqual([]);
      else expect(waitsFor.length + nodeLists.length).toBe(1);
      for (const node of nodeLists.flat()) {
        expect(facts.upToDateNodes).toContain(node);
        expect(facts.drained).not.toContain(node);
      }
    }),
  );
});

describe('what is required of a node', () => {
  const place = { key: 'place', operator: 'In', values: ['n1'] };
  const disk = { key: 'disk', operator: 'In', values: ['ssd'] };

  test.each([
    ['alone where nothing was', undefined, [{ matchExpressions: [place] }]],
    [
      'in every term',
      [{ matchExpressions: [disk] }, { matchFields: [disk] }],
      [{ matchExpressions: [disk, place] }, { matchFields: [disk], matchExpressions: [place] }],
    ],
    ['once', [{ matchExpressions: [place] }], [{ matchExpressions: [place] }]],
    ['not in a term that matches nothing', [{}], [{}]],
  ] as const)('is added %s', (_, terms, expected) => {
    expect(requireAlso(terms, [place])).toEqual(expected);
  });

  test.each([
    ['a term of which something is left', [{ matchExpressions: [disk, place] }], [{ matchExpressions: [disk] }]],
    [
      'a term of which nothing is left, which then lets every node pass',
      [{ matchExpressions: [place] }, { matchExpressions: [disk] }],
      undefined,
    ],
    ['no term', [{}], [{}]],
    ['nothing', undefined, undefined],
  ] as const)('is taken out of %s', (_, terms, expected) => {
    expect(withoutRequirementsOf('place', terms)).toEqual(expected);
  });

  test('holds of exactly the nodes that fit before and are named, and of the old ones when it is taken out again', () => {
    const requirement = fc.record({
      key: fc.constantFrom('disk', 'zone'),
      operator: fc.constantFrom('In', 'NotIn', 'Exists'),
      values: fc.subarray(['a', 'b']),
    });
    const term: fc.Arbitrary<NodeTerm> = fc.record({ matchExpressions: fc.array(requirement, { maxLength: 2 }) });
    const terms = fc.option(fc.array(term, { minLength: 1, maxLength: 3 }), { nil: undefined });
    const labels = fc.record({ place: fc.constantFrom('n1', 'n2'), disk: fc.constantFrom('a', 'b', 'c') });
    fc.assert(
      fc.property(terms, labels, (before, of) => {
        const fits = (nodeTerms: PodConstraints['nodeTerms']) =>
          podRefusal({ tolerations: [], nodeSelector: {}, nodeTerms }, { name: 'n', labels: of, taints: [] }) === undefined;
        const after = requireAlso(before, [place]);
        expect(fits(after)).toBe(fits(before) && of.place === 'n1');
        if (before?.every(({ matchExpressions = [] }) => matchExpressions.length > 0))
          expect(withoutRequirementsOf('place', after)).toEqual(before);
      }),
    );
  });
});
