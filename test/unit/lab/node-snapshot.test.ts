import { describe, expect, test } from 'vitest';
import { parseSnapshot } from '../../../lab/kubelet/node-snapshot.ts';

describe("a node's report", () => {
  test('says what runs, what has ended and what is mounted', () => {
    const snapshot = parseSnapshot([
      'boot 0b1c',
      'pod u1 default/web-0 prepared',
      'claim u1 data data-web-0',
      'container u1 writer 2 1700000000 ',
      'container u1 sidecar 1 1700000000 137 1700000060',
      'pod u2 rehome-system/agent prepared stopping',
    ]);
    expect(snapshot.bootId).toBe('0b1c');
    expect(snapshot.pods.get('u1')).toEqual({
      namespace: 'default',
      name: 'web-0',
      prepared: true,
      stopping: false,
      claims: new Map([['data', 'data-web-0']]),
      containers: new Map([
        ['writer', { attempt: 2, startedAt: 1_700_000_000 }],
        ['sidecar', { attempt: 1, startedAt: 1_700_000_000, exit: { code: 137, at: 1_700_000_060 } }],
      ]),
    });
    expect(snapshot.pods.get('u2')).toMatchObject({ stopping: true });
  });

  test('may come in the middle of a change: a pod whose volumes are not yet mounted', () => {
    const pod = parseSnapshot(['boot 0b1c', 'pod u1 default/web-0']).pods.get('u1');
    expect(pod).toMatchObject({ prepared: false, stopping: false });
  });

  test('is refused when a line of it is not understood', () => {
    expect(() => parseSnapshot(['boot 0b1c', 'cannot fork'])).toThrow("not a line of a node's report: cannot fork");
  });
});
