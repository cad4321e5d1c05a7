/**
 * What a verify proves.
 *
 * DRBD ends an aborted verify and a finished one in the same state. Coverage is proven by the target's read counter: nobody else reads there, so a
 * pass over the whole device adds exactly its size (DRBD 8.4). An interrupted pass and its resumption add another number, and so does a pass that
 * was begun twice; a target that was attached anew begins again at 0.
 */
import type { VerifyReport } from '../contracts/node-activities.ts';

export interface VerifyFacts {
  readonly sizeBytes: number;
  /** KiB that DRBD had read from the target's device before and after the pass. */
  readonly readKibBefore: number;
  readonly readKibAfter: number;
  readonly report: VerifyReport;
}

export type VerifyVerdict =
  | { readonly kind: 'proven' }
  /** The copy differs: send the differences, then verify all of it again. An out-of-sync of 0 after that alone proves nothing. */
  | { readonly kind: 'differences'; readonly message: string }
  /** The pass says nothing: verify again. */
  | { readonly kind: 'inconclusive'; readonly message: string };

export function judgeVerify({ sizeBytes, readKibBefore, readKibAfter, report }: VerifyFacts): VerifyVerdict {
  if (report.outOfSyncBytes > 0) return { kind: 'differences', message: `${report.outOfSyncBytes} bytes differ between source and target` };
  if (!report.completed) return { kind: 'inconclusive', message: 'the verify did not run to its end on one unbroken connection' };
  if (!report.healthy)
    return { kind: 'inconclusive', message: 'after the verify the mirror was not connected and up to date on both ends' };
  const readBytes = (readKibAfter - readKibBefore) * 1024;
  if (readBytes !== sizeBytes) return { kind: 'inconclusive', message: `the verify read ${readBytes} of ${sizeBytes} bytes on the target` };
  return { kind: 'proven' };
}
