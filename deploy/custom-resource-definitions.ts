/**
 * CustomResourceDefinitions from the zod schemas of `core/contracts/objects`.
 *
 * The API server takes only "structural" JSON Schema
 * (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema), read by Go's
 * regular expressions: what zod writes beyond that is left out here, or said in Kubernetes' own words.
 */
import { stringify } from 'yaml';
import { z } from 'zod';
import { API_GROUP, API_VERSION } from '../core/contracts/names.ts';
import { KINDS, type Kind } from '../core/contracts/objects/index.ts';
import { PRINTER_COLUMNS } from './printer-columns.ts';

/** What may be selected by: an agent hears of its own node's replicas only, and of migrations only when they were aborted; a run looks for its volume's. */
const SELECTABLE_FIELDS: Partial<Record<Kind, readonly string[]>> = {
  LocalVolumeReplica: ['.spec.nodeName'],
  LocalVolumeMigrate: ['.spec.volumeName', '.status.phase'],
};

type JsonSchema = z.core.JSONSchema.BaseSchema & Record<string, unknown>;

const HEADER = '# Generated from core/contracts/objects by `npm run generate:crds`: change it there.\n';

/** The files of deploy/crds: content by name. */
export function customResourceDefinitionFiles(): Map<string, string> {
  const kinds = Object.keys(KINDS) as Kind[];
  return new Map(
    kinds.map((kind) => [
      `${KINDS[kind].plural}.yaml`,
      HEADER + stringify(customResourceDefinition(kind), { lineWidth: 0, aliasDuplicateObjects: false }),
    ]),
  );
}

function customResourceDefinition(kind: Kind) {
  const { plural, shortName, schema } = KINDS[kind];
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      scope: 'Cluster',
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), shortNames: [shortName] },
      versions: [
        {
          name: API_VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: PRINTER_COLUMNS[kind],
          ...(SELECTABLE_FIELDS[kind] && { selectableFields: SELECTABLE_FIELDS[kind].map((jsonPath) => ({ jsonPath })) }),
          schema: { openAPIV3Schema: structuralSchema(schema) },
        },
      ],
    },
  };
}

/** As clients send it (`io: input`): a field with a default may be left out. */
function structuralSchema(schema: z.ZodType): JsonSchema {
  const converted = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => makeStructural(jsonSchema as JsonSchema),
  }) as JsonSchema;
  delete converted.$schema;
  // The API server checks these itself and allows no more than a name's form to be said of them.
  converted.properties = {
    ...converted.properties,
    apiVersion: { type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object' },
  };
  converted.required = ['spec'];
  return converted;
}

function makeStructural(schema: JsonSchema): void {
  if (schema.type === 'integer') {
    schema.format = 'int64';
    // Its counterpart stays: a size that JavaScript would round must not get in.
    if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  }
  // The API server knows the format; zod's pattern for it adds nothing.
  if (schema.type === 'string' && schema.format !== undefined) delete schema.pattern;
  delete schema.propertyNames;
  if (isAnything(schema.additionalProperties)) {
    delete schema.additionalProperties;
    schema['x-kubernetes-preserve-unknown-fields'] = true;
  }
}

const isAnything = (schema: unknown): boolean => typeof schema === 'object' && schema !== null && Object.keys(schema).length === 0;
