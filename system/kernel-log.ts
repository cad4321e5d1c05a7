/** What the kernel has said since the boot, as far as its buffer still has it. Source: Documentation/ABI/testing/dev-kmsg. */
import { constants, open } from 'node:fs/promises';

export interface KernelLogRecord {
  /** Counts up by one with each record: where a number is missing, the buffer has lost one. */
  readonly sequence: number;
  readonly text: string;
}

/** The largest record that the kernel gives out, CONSOLE_EXT_LOG_MAX of its printk. */
const RECORD_BYTES = 8192;

/** The newest records without a gap. Each read of /dev/kmsg gives one, and fails after the newest. @throws where it cannot be read: that takes CAP_SYSLOG. */
export async function readKernelLog(): Promise<KernelLogRecord[]> {
  const log = await open('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(RECORD_BYTES);
  const records: KernelLogRecord[] = [];
  try {
    for (;;) {
      try {
        const { bytesRead } = await log.read(buffer, 0, buffer.length, null);
        records.push(parseKernelLogRecord(buffer.toString('utf8', 0, bytesRead)));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EAGAIN') return records;
        if (code !== 'EPIPE') throw error;
        // The buffer has wrapped beneath the reader, and the next record is its oldest: what was read so far would end in a gap.
        records.length = 0;
      }
    }
  } finally {
    await log.close();
  }
}

/** `priority,sequence,microseconds,flags[,…];text`, then lines of ` KEY=value`. @throws where it is something else. */
export function parseKernelLogRecord(record: string): KernelLogRecord {
  const [, sequence, text] = /^\d+,(\d+),[^;\n]*;([^\n]*)/.exec(record) ?? [];
  if (sequence === undefined || text === undefined) throw new Error(`not a record of the kernel's log: ${record.slice(0, 200)}`);
  return { sequence: Number(sequence), text };
}
