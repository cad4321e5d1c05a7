/** Removes a volume wherever it is by now: its claim, its objects, and its logical volumes on the machines that run. */
import { type ApiClient, ApiError } from '../cluster/api-client.ts';
import type { Machine } from '../machines/index.ts';
import { POOL, THIN_POOL } from './objects.ts';
import { disconnectScript } from './replicated.ts';

const HWAMEISTOR = '/apis/hwameistor.io/v1alpha1';

/** Does nothing where there is no such volume. @throws where a logical volume is in use. */
export async function deleteVolume(name: string, namespace: string, machines: readonly Machine[], client: ApiClient): Promise<void> {
  await deleteAtOnce(client, `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`);
  await deleteAtOnce(client, `/api/v1/persistentvolumes/${name}`);
  await deleteAtOnce(client, `${HWAMEISTOR}/localvolumes/${name}`);
  const replicas = await client.get<{ items: { metadata: { name: string }; spec: { volumeName: string } }[] }>(
    `${HWAMEISTOR}/localvolumereplicas`,
  );
  for (const { metadata } of replicas.items.filter(({ spec }) => spec.volumeName === name)) {
    await deleteAtOnce(client, `${HWAMEISTOR}/localvolumereplicas/${metadata.name}`);
  }
  await leaveGroups(name, client);

  const left = await client.get<{ items: { spec: { thin?: boolean } }[] }>(`${HWAMEISTOR}/localvolumes`);
  const script = removeScript(name, !left.items.some(({ spec }) => spec.thin));
  await Promise.all(machines.filter((machine) => machine.isRunning()).map((machine) => machine.exec(script)));
}

/** @param wasLastThin the pools of thin volumes go with the last of them: they take space from all others. */
function removeScript(name: string, wasLastThin: boolean): string {
  const thinCount = `$(lvs --noheadings -o thin_count ${POOL}/${THIN_POOL} 2> /dev/null | tr -d ' ')`;
  return [
    'set -e',
    disconnectScript(name),
    `! lvs ${POOL}/${name} > /dev/null 2>&1 || lvremove -qq --yes ${POOL}/${name}`,
    ...(wasLastThin ? [`[ "${thinCount}" != 0 ] || lvremove -qq --yes ${POOL}/${THIN_POOL}`] : []),
  ].join('\n');
}

/** Nobody in the lab plays the provisioner, whose finalizer would keep the object. */
async function deleteAtOnce(client: ApiClient, path: string): Promise<void> {
  if (!(await client.find(path))) return;
  await client.delete(path);
  if (await client.find(path)) await ignoreAbsence(client.patch(path, { metadata: { finalizers: null } }));
}

async function ignoreAbsence(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ApiError && error.statusCode === 404)) throw error;
  }
}

async function leaveGroups(name: string, client: ApiClient): Promise<void> {
  const path = `${HWAMEISTOR}/localvolumegroups`;
  const groups = await client.get<{ items: { metadata: { name: string }; spec: { volumes?: { localvolume?: string }[] } }[] }>(path);
  for (const { metadata, spec } of groups.items) {
    const volumes = spec.volumes?.filter(({ localvolume }) => localvolume !== name) ?? [];
    if (volumes.length === spec.volumes?.length) continue;
    if (volumes.length === 0) await deleteAtOnce(client, `${path}/${metadata.name}`);
    else await client.patch(`${path}/${metadata.name}`, { spec: { volumes } });
  }
}
