/** What a sweep may take away, whatever stands on the nodes and whatever the objects say: several migrations, each got anywhere, each said to be anything. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createNodeActivities, type NodeDependencies, sweepAborted, sweepGivenUp } from '../../../../activities/node/index.ts';
import type { Mirror } from '../../../../core/contracts/migration.ts';
import type { NodeActivities } from '../../../../core/contracts/node-activities.ts';
import type { LocalVolumeMigrate } from '../../../../core/contracts/objects/index.ts';
import { PHASES, type Phase } from '../../../../core/contracts/phases.ts';
import { type FakeCluster, MiB } from './fake-cluster.ts';
import { FakeNode, POOL } from './fake-node.ts';
import { newCluster } from './scenario.ts';

/** One volume and its migrations. */
interface Plan {
  /** How many steps of its move were taken. */
  readonly steps: number;
  /** An earlier migration of it got so far, and was aborted while its target's agent was away. */
  readonly earlierSteps: number | undefined;
  /** What the object says of the move, true or not. */
  readonly phase: Phase;
  readonly pointOfNoReturn: boolean;
  readonly target: string | undefined;
  /** A new object may have taken the name. */
  readonly object: 'there' | 'deleted' | 'made again';
  /** What the sweep was told, which may be old. */
  readonly listed: 'as it is' | 'as aborted' | 'not';
}

const STEPS = 10;
const aborted = { arbitrary: fc.constant<Phase>('Aborted'), weight: 2 };
const plans = fc.array(
  fc.record<Plan>({
    steps: fc.nat({ max: STEPS }),
    earlierSteps: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
    phase: fc.oneof(aborted, { arbitrary: fc.constantFrom(...PHASES), weight: 1 }),
    pointOfNoReturn: fc.oneof({ arbitrary: fc.constant(false), weight: 3 }, { arbitrary: fc.constant(true), weight: 1 }),
    target: fc.constantFrom('n1', 'n2', 'n3', undefined),
    object: fc.oneof({ arbitrary: fc.constant('there' as const), weight: 3 }, fc.constantFrom('deleted', 'made again')),
    listed: fc.constantFrom('as it is', 'as aborted', 'not'),
  }),
  { minLength: 1, maxLength: 3 },
);

class Nodes {
  readonly cluster: FakeCluster = newCluster();
  readonly objects = new Map<string, LocalVolumeMigrate>();
  readonly all: readonly FakeNode[];

  /** @param isFull the source's volume group has no room for metadata. */
  constructor(isFull: boolean) {
    new FakeNode('n3', this.cluster.nodes);
    this.all = this.cluster.nodes;
    for (const node of this.all) node.addVolume(`plain-${node.name}`, 4 * MiB, `of ${node.name}`);
    if (isFull) this.named('n1').freeBytes = 0;
  }

  named(name: string): FakeNode {
    return this.all.find((node) => node.name === name)!;
  }

  dependencies(node: FakeNode): NodeDependencies {
    return {
      ...this.cluster.dependencies(node),
      minorRange: { first: 100, last: 199 },
      portRange: { first: 7000, last: 7099 },
      findMigration: async (name) => this.objects.get(name),
    };
  }

  agent(name: string): NodeActivities {
    this.cluster.scheduledAt += 1;
    return createNodeActivities(this.dependencies(this.named(name)));
  }

  /** What the controller writes before it asks for a step. */
  say(mirror: Mirror, phase: Phase, pointOfNoReturn = false): void {
    const { migration, pool, sizeBytes, source, target, pairing } = mirror;
    const object = {
      apiVersion: 'hwameistor.io/v1alpha1' as const,
      kind: 'LocalVolumeMigrate' as const,
      metadata: { name: migration.name, uid: migration.uid, resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { volumeName: migration.volume, sourceNode: source.node, targetNodesSuggested: [], migrateAllVols: false, abort: false },
      status: { phase, pointOfNoReturn, pool, sizeBytes, source, target, pairing },
    };
    this.objects.set(migration.name, object);
  }

  async move(mirror: Mirror, steps: number): Promise<void> {
    const [from, to] = [mirror.source.node, mirror.target.node];
    let endpoints = {
      source: { port: 1, minor: 1, logicalBlockSizeBytes: 512 },
      target: { port: 1, minor: 1, logicalBlockSizeBytes: 512 },
    };
    const all: readonly [Phase, boolean, () => Promise<unknown>][] = [
      [
        'Preparing',
        false,
        async () => (endpoints = { ...endpoints, source: await this.agent(from).allocateEndpoint({ mirror, role: 'source' }) }),
      ],
      [
        'Preparing',
        false,
        async () => (endpoints = { ...endpoints, target: await this.agent(to).allocateEndpoint({ mirror, role: 'target' }) }),
      ],
      ['Preparing', false, () => this.agent(to).ensureTargetMirror({ mirror, sourceEndpoint: endpoints.source })],
      ['Preparing', false, () => this.agent(from).ensureSourceMirror({ mirror, targetEndpoint: endpoints.target })],
      ['Syncing', false, () => this.agent(from).awaitSync({ mirror })],
      ['CuttingOver', false, () => this.agent(from).closeSource({ mirror })],
      ['CuttingOver', false, () => this.agent(from).markCutOver({ mirror, role: 'source' })],
      ['CuttingOver', true, () => this.agent(to).markCutOver({ mirror, role: 'target' })],
      ['CuttingOver', true, () => this.agent(from).dissolveMirror({ mirror, role: 'source' })],
      ['CuttingOver', true, () => this.agent(to).dissolveMirror({ mirror, role: 'target' })],
    ];
    for (const [phase, pointOfNoReturn, step] of all.slice(0, steps)) {
      this.say(mirror, phase, pointOfNoReturn);
      await step();
    }
  }
}

const uuid = (number: number): string => `8d6f2a1e-5b1c-4c3e-9a57-${String(number).padStart(12, '0')}`;
const end = (node: string) => ({ node, storageAddress: `10.77.0.${node.slice(1)}` });

function mirrorOf(volume: string, number: number, target: string): Mirror {
  const migration = { name: `${volume}-${number}`, uid: uuid(number), volume };
  return { migration, pool: POOL, sizeBytes: 8 * MiB, source: end('n1'), target: end(target), pairing: 1 };
}

/** @returns what the sweep is told of the migrations. */
async function play(nodes: Nodes, index: number, plan: Plan): Promise<LocalVolumeMigrate[]> {
  const volume = `data-${index}`;
  nodes.named('n1').addVolume(volume, 8 * MiB, `bits of ${volume}`);
  const told: LocalVolumeMigrate[] = [];
  if (plan.earlierSteps !== undefined) {
    const earlier = mirrorOf(volume, index * 2, 'n2');
    await nodes.move(earlier, plan.earlierSteps);
    nodes.say(earlier, 'Aborting');
    await nodes.agent('n1').restoreSource({ mirror: earlier });
    nodes.say(earlier, 'Aborted');
    told.push(nodes.objects.get(earlier.migration.name)!);
  }
  const mirror = mirrorOf(volume, index * 2 + 1, plan.earlierSteps === undefined ? 'n2' : 'n3');
  await nodes.move(mirror, plan.steps);
  const said = plan.target === undefined ? mirror : { ...mirror, target: end(plan.target) };
  nodes.say(said, plan.phase, plan.pointOfNoReturn);
  const { name } = mirror.migration;
  const object = nodes.objects.get(name)!;
  if (plan.target === undefined) delete (object.status as { target?: unknown }).target;
  if (plan.listed !== 'not') told.push(plan.listed === 'as it is' ? object : { ...object, status: { ...object.status, phase: 'Aborted' } });
  if (plan.object === 'deleted') nodes.objects.delete(name);
  if (plan.object === 'made again') nodes.objects.set(name, { ...object, metadata: { ...object.metadata, uid: uuid(900 + index) } });
  return told;
}

/** The live objects, by which alone a migration's share of a node may go. */
function maySweep(nodes: Nodes, node: FakeNode, uid: string): boolean {
  const object = [...nodes.objects.values()].find(({ metadata }) => metadata.uid === uid);
  if (!object) return false;
  const { phase, pointOfNoReturn, target } = object.status ?? {};
  const isSource = object.spec.sourceNode === node.name;
  if (!isSource && target?.node !== node.name) return target !== undefined || !pointOfNoReturn;
  return phase === 'Aborted' && !pointOfNoReturn;
}

const tagged = (tags: readonly string[], key: string): string | undefined =>
  tags.find((tag) => tag.startsWith(`rehome.io/${key}=`))?.split('=')[1];

/** What of a node carries tags: logical volumes, and the files of metadata that found no room in the volume group. */
function carriers(nodes: Nodes, node: FakeNode): { readonly name: string; readonly tags: readonly string[]; readonly is: unknown }[] {
  const directory = join(nodes.cluster.stateDirectory, node.name, 'metadata');
  const files = nodes.cluster.metadataFiles(node).map((file) => ({ file, tags: readFileSync(join(directory, file), 'utf8').split('\n') }));
  return [
    ...[...node.volumes].map(([name, { tags, ...is }]) => ({ name, tags, is })),
    ...files.map(({ file, tags }) => ({ name: file.replace('.tags', ''), tags, is: 'a file' })),
  ];
}

/** All of a node that no sweep may touch. */
function untouchable(nodes: Nodes, node: FakeNode): unknown {
  const isLive = (tags: readonly string[]): boolean => {
    const uid = tagged(tags, 'migration');
    return uid !== undefined && !maySweep(nodes, node, uid);
  };
  const all = carriers(nodes, node);
  const kept = all.filter(({ tags }) => tagged(tags, 'migration') === undefined || tagged(tags, 'cut-over') !== undefined || isLive(tags));
  const mirrored = all.filter(({ name, tags }) => name.endsWith('_rehome_metadata') && isLive(tags));
  const live = mirrored.map(({ name }) => name.replace('_rehome_metadata', ''));
  const ofLive = (name: string): boolean => live.some((volume) => name.replaceAll('--', '-').includes(volume));
  return structuredClone({
    kept,
    devices: [...node.devices].filter(([name]) => ofLive(name) || name.includes('plain')),
    resources: [...node.resources].filter(([name]) => ofLive(name)),
  });
}

test('a sweep takes away what is of a migration that was aborted or left this node, and nothing else, whatever stands and whatever it was told', {
  timeout: 120_000,
}, async () => {
  let swept = 0;
  const property = fc.asyncProperty(plans, fc.boolean(), async (planned, isFull) => {
    const nodes = new Nodes(isFull);
    const told: LocalVolumeMigrate[] = [];
    for (const [index, plan] of planned.entries()) told.push(...(await play(nodes, index, plan)));
    for (const node of nodes.all) {
      const before = untouchable(nodes, node);
      const sources = [...node.volumes].filter(([, { content }]) => content.startsWith('bits of')).map(([name]) => name);
      const { swept: aborted } = await sweepAborted(nodes.dependencies(node), told);
      const { swept: givenUp } = await sweepGivenUp(nodes.dependencies(node), async () => [...told, ...nodes.objects.values()]);
      const gone = [...aborted, ...givenUp];
      swept += gone.length;
      expect(untouchable(nodes, node)).toEqual(before);
      // A copy that was made here may go; the source never does.
      if (node.name === 'n1') expect([...node.volumes.keys()]).toEqual(expect.arrayContaining(sources));
      for (const { metadata } of gone) {
        const left = carriers(nodes, node).filter(({ tags }) => tagged(tags, 'migration') === metadata.uid);
        expect(left).toEqual([]);
      }
    }
  });
  await fc.assert(property, { numRuns: 60 });
  // It has something to do.
  expect(swept).toBeGreaterThan(10);
});
