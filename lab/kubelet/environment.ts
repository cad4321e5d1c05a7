/** A container's environment, command and arguments, as Kubernetes defines them. */
import type { Container, EnvironmentSource, EnvironmentVariable, Pod } from './objects.ts';

/** The pod asks for something that does not exist, or that the lab does not do. */
export class PodConfigurationError extends Error {
  override readonly name = 'PodConfigurationError';
}

/** Where pods find what they refer to. */
export interface References {
  /** Addresses of the node, which pods share. */
  readonly nodeAddress: string;
  secretValue(name: string, key: string): string;
  configMapValue(name: string, key: string): string;
  /** By key; none where it does not exist and need not. */
  secretValues(name: string): ReadonlyMap<string, string>;
  configMapValues(name: string): ReadonlyMap<string, string>;
}

/** @returns variables in order, later ones may refer to earlier ones. @throws PodConfigurationError */
export function resolveEnvironment(
  pod: Pod,
  container: Container,
  references: References,
  base: Readonly<Record<string, string>>,
): Map<string, string> {
  const environment = new Map(Object.entries(base));
  for (const source of container.envFrom ?? []) for (const [name, value] of valuesOf(source, references)) environment.set(name, value);
  for (const variable of container.env ?? []) environment.set(variable.name, resolve(variable, pod, references, environment));
  return environment;
}

function valuesOf({ prefix = '', secretRef, configMapRef }: EnvironmentSource, references: References): readonly [string, string][] {
  const secret = secretRef ? references.secretValues(secretRef.name) : [];
  const configMap = configMapRef ? references.configMapValues(configMapRef.name) : [];
  return [...secret, ...configMap].map(([key, value]) => [`${prefix}${key}`, value]);
}

function resolve(variable: EnvironmentVariable, pod: Pod, references: References, earlier: ReadonlyMap<string, string>): string {
  const { fieldRef, secretKeyRef, configMapKeyRef } = variable.valueFrom ?? {};
  if (fieldRef) return fieldValue(pod, fieldRef.fieldPath, references.nodeAddress);
  if (secretKeyRef) return references.secretValue(secretKeyRef.name, secretKeyRef.key);
  if (configMapKeyRef) return references.configMapValue(configMapKeyRef.name, configMapKeyRef.key);
  if (variable.valueFrom)
    throw new PodConfigurationError(`the lab has no ${Object.keys(variable.valueFrom).join(', ')} for ${variable.name}`);
  return expand(variable.value ?? '', earlier);
}

/** @throws PodConfigurationError for a field that the lab does not give. */
export function fieldValue(pod: Pod, fieldPath: string, nodeAddress: string): string {
  const { metadata, spec } = pod;
  const [, kind, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath) ?? [];
  if (kind && key) return metadata[kind as 'labels' | 'annotations']?.[key] ?? '';
  const fields: Record<string, string | undefined> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName,
    'status.hostIP': nodeAddress,
    'status.podIP': nodeAddress,
  };
  const value = fields[fieldPath];
  if (value === undefined) throw new PodConfigurationError(`the lab does not give a pod its ${fieldPath}`);
  return value;
}

/** Replaces $(NAME) by its value; $$ is a dollar, and names that are not set stay as they are. */
export function expand(text: string, environment: ReadonlyMap<string, string>): string {
  return text.replace(/\$(\$|\(([^()$]+)\))/g, (whole, escaped: string, name: string | undefined) =>
    escaped === '$' ? '$' : (environment.get(name!) ?? whole),
  );
}

/** @throws PodConfigurationError where the container leaves its command to its image. */
export function commandLine(container: Container, environment: ReadonlyMap<string, string>): string[] {
  const words = [...(container.command ?? []), ...(container.args ?? [])].map((word) => expand(word, environment));
  if (!container.command?.length) throw new PodConfigurationError(`container ${container.name} has no command, and the lab has no images`);
  return words;
}
