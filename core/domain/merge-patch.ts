/** The difference between two JSON values as a JSON merge patch (RFC 7386), so that only what differs is written. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * What turns `before` into `after`: null removes a key, lists are replaced whole. undefined: nothing differs. `after` holds no null, which a merge
 * patch cannot set.
 */
export function mergePatchBetween(before: Json | undefined, after: Json): Json | undefined {
  if (!isObject(after)) return isSame(before, after) ? undefined : after;
  if (!isObject(before)) return after;
  const removed = Object.keys(before).filter((key) => !Object.hasOwn(after, key));
  const changed = Object.entries(after).flatMap(([key, value]) => {
    const patch = mergePatchBetween(Object.hasOwn(before, key) ? before[key] : undefined, value);
    return patch === undefined ? [] : [[key, patch] as const];
  });
  if (removed.length === 0 && changed.length === 0) return undefined;
  return Object.fromEntries([...removed.map((key) => [key, null] as const), ...changed]);
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The order of keys is of no account. */
function isSame(a: Json | undefined, b: Json): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  if (isObject(a) && isObject(b)) {
    const [left, right] = [a, b];
    const keys = Object.keys(left);
    return keys.length === Object.keys(right).length && keys.every((key) => Object.hasOwn(right, key) && isSame(left[key], right[key]!));
  }
  return a === b;
}
