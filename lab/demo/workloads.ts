/**
 * The two workloads of the demo: a StatefulSet that appends to a file on ext4 and a Deployment that writes blocks to a raw device. Each write is
 * synchronised to the disk before its number is sent to the collector.
 */

export interface Workload {
  readonly writer: string;
  readonly claim: string;
  readonly kind: 'file' | 'block';
  readonly size: string;
  readonly manifest: object;
}

/** Bytes of one record: a line of a file, or the first bytes of a block. */
export const RECORD_BYTES = 64;
export const BLOCK_BYTES = 4096;
export const DATA_FILE = '/data/records';
export const DEVICE = '/dev/volume';

/** Record N is the number N, padded with zeros to one line of 64 bytes. */
function fileWriter(writer: string, collector: string): string {
  return `
f=${DATA_FILE}
# A record cut in half by a crash was never acknowledged: it is overwritten.
i=$(( $(stat -c %s $f 2>/dev/null || echo 0) / ${RECORD_BYTES} ))
while :; do
  printf '%063d\\n' $i | dd of=$f bs=${RECORD_BYTES} seek=$i conv=notrunc,fsync 2>/dev/null || exit 1
  echo "${writer} $i"
  i=$((i + 1))
  usleep 250000
done | nc ${collector}`;
}

/** Record N stands at the start of block N of the device; writing goes on at the first block without its number, found by bisection. */
function blockWriter(writer: string, collector: string): string {
  return `
d=${DEVICE}
written() { [ "$(dd if=$d bs=${BLOCK_BYTES} skip=$1 count=1 2>/dev/null | head -c 63)" = "$(printf '%063d' $1)" ]; }
low=0 high=1
while written $high; do low=$high high=$((high * 2)); done
while [ $((high - low)) -gt 1 ]; do
  middle=$(( (low + high) / 2 ))
  if written $middle; then low=$middle; else high=$middle; fi
done
i=0
if written 0; then i=$high; fi
while :; do
  printf '%063d\\n' $i | dd of=$d bs=${BLOCK_BYTES} seek=$i conv=notrunc,fsync 2>/dev/null || exit 1
  echo "${writer} $i"
  i=$((i + 1))
  usleep 250000
done | nc ${collector}`;
}

const container = (script: string, volume: object) => ({
  name: 'writer',
  image: 'busybox',
  command: ['sh', '-c', script],
  ...volume,
});

/** @param size of its volume, as in a claim. */
export function statefulSet(collector: string, size: string): Workload {
  const labels = { app: 'ledger' };
  return {
    writer: 'ledger-0',
    claim: 'data-ledger-0',
    kind: 'file',
    size,
    manifest: {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'ledger', namespace: 'default' },
      spec: {
        serviceName: 'ledger',
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 2,
            containers: [container(fileWriter('ledger-0', collector), { volumeMounts: [{ name: 'data', mountPath: '/data' }] })],
          },
        },
        volumeClaimTemplates: [
          { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: size } } } },
        ],
      },
    },
  };
}

/** @param size of its volume, as in a claim. */
export function deployment(collector: string, size: string): Workload {
  return {
    writer: 'journal',
    claim: 'journal',
    kind: 'block',
    size,
    manifest: deviceDeployment('journal', blockWriter('journal', collector)),
  };
}

/** @param name of the claim as well. @param script writes to the volume at DEVICE. */
export function deviceDeployment(name: string, script: string): object {
  const labels = { app: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas: 1,
      strategy: { type: 'Recreate' },
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 2,
          containers: [container(script, { volumeDevices: [{ name: 'data', devicePath: DEVICE }] })],
          volumes: [{ name: 'data', persistentVolumeClaim: { claimName: name } }],
        },
      },
    },
  };
}
