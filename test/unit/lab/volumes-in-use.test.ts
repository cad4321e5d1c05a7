import { expect, test } from 'vitest';
import type { NodeObjects } from '../../../lab/kubelet/node-objects.ts';
import { VolumesInUse } from '../../../lab/kubelet/volumes-in-use.ts';
import { onNode } from './pods.ts';

const PREFIX = 'kubernetes.io/csi/lvm.hwameistor.io^';

function recorder() {
  const reports: string[][] = [];
  const node = {
    reportVolumesInUse: async (names: readonly string[]) => {
      reports.push(names.map((name) => name.replace(PREFIX, '')));
    },
  };
  return { reports, volumes: new VolumesInUse(node as unknown as NodeObjects) };
}
const nothing = { bootId: 'b', pods: new Map() };
const mounted = { bootId: 'b', pods: new Map([['u1', onNode({}, { claims: new Map([['data', 'data-web-0']]) })]]) };

test('a volume is in use from before its mount until after its unmount, whatever the pod is to do', async () => {
  const { reports, volumes } = recorder();
  volumes.need('u1', ['data-web-0']);
  await volumes.report(nothing);
  await volumes.report(mounted);
  volumes.forget('u1');
  await volumes.report(mounted);
  await volumes.report(nothing);
  expect(reports).toEqual([['data-web-0'], []]);
});

test('what could not be reported is reported again', async () => {
  let refusals = 1;
  const { reports, volumes } = recorder();
  const reporting = new VolumesInUse({
    reportVolumesInUse: async (names: readonly string[]) => {
      if (refusals-- > 0) throw new Error('the API server is away');
      reports.push([...names]);
    },
  } as unknown as NodeObjects);
  void volumes;
  reporting.need('u1', ['a']);
  await expect(reporting.report(nothing)).rejects.toThrow('away');
  await reporting.report(nothing);
  expect(reports).toEqual([[`${PREFIX}a`]]);
});
