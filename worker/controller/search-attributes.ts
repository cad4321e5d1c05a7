/** The search attributes by which people find migrations in Temporal's UI. */
import type { NativeConnection } from '@temporalio/worker';
import { SearchAttribute } from '../../core/contracts/names.ts';

/** `temporal.api.enums.v1.IndexedValueType`. */
const KEYWORD = 2;

/** Adds those that the namespace lacks. Another controller may do the same at this moment. @throws where Temporal refuses, or has no such namespace. */
export async function ensureSearchAttributes(connection: NativeConnection, namespace: string): Promise<void> {
  const missing = async (): Promise<string[]> => {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    return Object.values(SearchAttribute).filter((name) => customAttributes?.[name] === undefined);
  };
  const names = await missing();
  if (names.length === 0) return;
  const searchAttributes = Object.fromEntries(names.map((name) => [name, KEYWORD]));
  try {
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
  } catch (error) {
    if ((await missing()).length > 0) throw error;
  }
}
