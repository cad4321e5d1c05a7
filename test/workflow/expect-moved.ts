import { expect } from 'vitest';
import type { Harness } from './harness.ts';
import { MiB } from './world.ts';

/** The volume's own bits, and what was written to it, lie on that node alone, plain. */
export function expectMoved({ world, n1, n2, data }: Harness, content = `bits of ${data}`, target = n2): void {
  const plain = { content, sizeBytes: 8 * MiB, active: true, hasSnapshots: false, open: false };
  expect(world.node(target).volumes.get(data)).toEqual(plain);
  expect(world.volumes.get(data)).toMatchObject({ affinity: target, replicas: new Map([[target, 8 * MiB]]) });
  expect(world.node(n1).volumes.has(data)).toBe(false);
  for (const { mirrors, reservations } of world.nodes.values()) expect([mirrors.size, reservations.size]).toEqual([0, 0]);
}
