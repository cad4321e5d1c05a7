/**
 * What a sync is held against: the same logical volume, copied to a new one on the other node by dd and socat, over the same network.
 *
 * The clock is the receiver's: it runs from the accepted connection until everything is on the disk (fsync), so the time that programs take to start
 * is not counted.
 */
import type { Machine } from '../machines/index.ts';
import { POOL } from '../volume/objects.ts';
import { waitFor } from '../wait.ts';
import { devicePath, type Site } from './site.ts';

/** Past the page cache or through it: which of them is faster depends on the machine. */
export const COPY_MODES = ['direct', 'buffered'] as const;
export type CopyMode = (typeof COPY_MODES)[number];

const FLAGS: Readonly<Record<CopyMode, { readonly read: string; readonly write: string }>> = {
  direct: { read: 'bs=1M iflag=direct', write: 'bs=1M iflag=fullblock oflag=direct conv=fsync' },
  buffered: { read: 'bs=1M', write: 'bs=1M iflag=fullblock conv=fsync' },
};

const PORT = 9200;
const COPY = 'bench-raw-copy';
const RECEIVER = '/run/bench-receiver';
const TIMEOUT_SECONDS = 600;
/** socat's own of 8 KiB costs a third of the rate; -t: until dd has synced, not half a second after its end of the data. */
const SOCAT = `socat -b 262144 -t ${TIMEOUT_SECONDS}`;

/** Copies a volume of the source that nobody uses. @returns seconds. */
export async function copyRaw({ source, target }: Site, volume: string, bytes: number, mode: CopyMode): Promise<number> {
  await target.exec(`lvcreate -qq --yes --size ${bytes}B --name ${COPY} ${POOL}`);
  try {
    const script = receiverScript(devicePath(COPY), mode);
    await target.exec(`cat > ${RECEIVER}`, { stdin: script });
    const listen = `TCP4-LISTEN:${PORT},bind=${target.storageAddress},reuseaddr,accept-timeout=60`;
    const receiving = target.exec(`${SOCAT} ${listen} 'EXEC:sh ${RECEIVER}'`, { timeoutSeconds: TIMEOUT_SECONDS });
    const sending = (async () => {
      await waitUntilListening(target);
      const send = `dd if=${devicePath(volume)} ${FLAGS[mode].read} 2>/dev/null | ${SOCAT} - TCP4:${target.storageAddress}:${PORT}`;
      return (await source.exec(send, { timeoutSeconds: TIMEOUT_SECONDS })).stdout;
    })();
    const [answer] = await Promise.all([sending, receiving]);
    return parseAnswer(answer, bytes);
  } finally {
    await target.exec(`lvremove -qq --yes ${POOL}/${COPY}`);
  }
}

/** Answers the sender, over the connection, when it began, when it was done, and what dd says of it. */
export function receiverScript(device: string, mode: CopyMode): string {
  return `read -r begin _ < /proc/uptime
dd of=${device} ${FLAGS[mode].write} 2> ${RECEIVER}.log || exit 1
read -r end _ < /proc/uptime
echo "$begin $end $(tail -n 1 ${RECEIVER}.log)"
`;
}

/** @returns seconds. @throws where not everything arrived. */
export function parseAnswer(answer: string, bytes: number): number {
  const [, begin, end, copied] = /^(\d+\.\d+) (\d+\.\d+) (\d+) bytes/.exec(answer) ?? [];
  if (Number(copied) !== bytes) throw new Error(`the raw copy of ${bytes} bytes ended with ${JSON.stringify(answer)}`);
  return Number(end) - Number(begin);
}

/** As /proc/net/tcp shows it: port in hexadecimal, state 0A. */
async function waitUntilListening(machine: Machine): Promise<void> {
  const port = PORT.toString(16).toUpperCase().padStart(4, '0');
  await waitFor(`${machine.name} listens on port ${PORT}`, async () => {
    const { exitCode } = await machine.exec(`grep -qE ':${port} 00000000:0000 0A' /proc/net/tcp`, { expectedExitCodes: [1] });
    return exitCode === 0;
  });
}
