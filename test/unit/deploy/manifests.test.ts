import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { parseAgentConfiguration, parseControllerConfiguration } from '../../../core/contracts/configuration.ts';

const DIRECTORY = resolve(import.meta.dirname, '../../../deploy');
const read = (name: string): string => readFileSync(join(DIRECTORY, name), 'utf8');

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

interface Rule {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** What the kubelet would put in the place of a fieldRef. */
const FIELDS: Record<string, string> = { 'spec.nodeName': 'n1', 'status.hostIP': '10.0.0.1', 'metadata.namespace': 'rehome-system' };

function podOf(file: string) {
  const [workload] = parseAllDocuments(read(file)).map((document) => document.toJS());
  const pod = workload.spec.template.spec;
  const variables: Variable[] = pod.containers[0].env;
  const environment = Object.fromEntries(
    variables.map(({ name, value, valueFrom }) => [name, value ?? FIELDS[valueFrom!.fieldRef.fieldPath]]),
  );
  const mounts: { name: string; mountPath: string }[] = pod.containers[0].volumeMounts ?? [];
  return { pod, environment, mountPaths: mounts.map(({ mountPath }) => mountPath) };
}

test('kubectl apply -k takes every manifest there is', () => {
  const { resources } = parse(read('kustomization.yaml'));
  const manifests = globSync(['*.yaml', 'crds/*.yaml'], { cwd: DIRECTORY }).filter((name) => name !== 'kustomization.yaml');
  expect([...resources].sort()).toEqual(manifests.sort());
});

test.each(['agent-rbac.yaml', 'controller-rbac.yaml'])(
  '%s lets nobody do with a status but write it: it is read with its object',
  (file) => {
    const documents = parseAllDocuments(read(file)).map((document) => document.toJS() as { readonly rules?: readonly Rule[] });
    const rules = documents.flatMap(({ rules: granted = [] }) => granted);
    const ofStatus = rules.filter(({ resources }) => resources.some((resource) => resource.endsWith('/status')));
    expect(ofStatus.length).toBeGreaterThan(0);
    for (const { verbs } of ofStatus) expect(verbs).toEqual(['patch']);
  },
);

test('the environment of the controller is one it can start with', () => {
  expect(parseControllerConfiguration(podOf('controller.yaml').environment).namespace).toBe('rehome-system');
});

test('the agent starts on its node, with its key and its state where the node has them', () => {
  const { pod, environment, mountPaths } = podOf('agent.yaml');
  const configuration = parseAgentConfiguration(environment);
  expect(configuration).toMatchObject({ nodeName: 'n1', storageAddress: '10.0.0.1' });
  expect(mountPaths).toContain(configuration.stateDirectory);
  expect(mountPaths.some((path) => configuration.clusterKeyFile.startsWith(`${path}/`))).toBe(true);
  expect(pod).toMatchObject({ hostNetwork: true, priorityClassName: 'system-node-critical', tolerations: [{ operator: 'Exists' }] });
});

test.each(['agent', 'controller'])('the admission policy of the %s holds it in whatever namespace kustomize puts it', (program) => {
  const policy = read(`${program}-admission-policy.yaml`);
  expect(policy).not.toContain('rehome-system');
  expect(policy).toContain(`request.userInfo.username.endsWith(':rehome-${program}')`);
});
