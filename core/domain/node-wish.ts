/** What somebody says on a node about the volumes there: cordoned, they leave; with the label that disables evictions, they stay. */
import { Label } from '../contracts/names.ts';

/** What of a Node it is read from. */
export interface WishingNode {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: { readonly unschedulable?: boolean };
}

/** @param node undefined: it is gone, and says nothing. Likewise below. */
export function isCordoned(node: WishingNode | undefined): boolean {
  return node?.spec?.unschedulable === true;
}

export function isEvictionDisabled(node: WishingNode | undefined): boolean {
  return node?.metadata.labels?.[Label.eviction] === 'disable';
}

export function isToBeEmptied(node: WishingNode | undefined): boolean {
  return isCordoned(node) && !isEvictionDisabled(node);
}

/** Why nothing leaves, whatever else says that it should; undefined: the label is not there. */
export function whyKept(node: WishingNode | undefined): string | undefined {
  return node && isEvictionDisabled(node) ? `node ${node.metadata.name} has label ${Label.eviction}=disable` : undefined;
}
