/** `npm run generate:crds`: writes deploy/crds anew from the schemas. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { customResourceDefinitionFiles } from './custom-resource-definitions.ts';

const directory = join(import.meta.dirname, 'crds');
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory);
for (const [name, content] of customResourceDefinitionFiles()) writeFileSync(join(directory, name), content);
