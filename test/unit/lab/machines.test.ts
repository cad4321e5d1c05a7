import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { machineNumber, openMachines } from '../../../lab/machines/index.ts';
import { qemuArguments } from '../../../lab/machines/qemu.ts';
import { shellQuote } from '../../../lab/machines/ssh.ts';

describe('names and addresses', () => {
  test('machine n2 is number 2 in both networks', () => {
    const machine = openMachines(3, '/nowhere')[1]!;
    expect([machine.name, machine.storageAddress, machine.managementAddress]).toEqual(['n2', '10.77.0.2', '10.78.0.2']);
  });

  test.each(['n0', 'n10', 'x1', 'n', ''])('%j is no machine', (name) => {
    expect(() => machineNumber(name)).toThrow('no machine is called');
  });
});

test('a shell reads a quoted list of arguments back as it was', () => {
  const argument = fc.string({ unit: 'binary-ascii', maxLength: 20 }).filter((text) => !text.includes('\0'));
  fc.assert(
    fc.property(fc.array(argument, { minLength: 1, maxLength: 5 }), (words) => {
      const output = execFileSync('sh', ['-c', `printf '%s\\0' ${shellQuote(words)}`], { encoding: 'utf8' });
      expect(output.split('\0').slice(0, -1)).toEqual(words);
    }),
    { numRuns: 50 },
  );
});

describe('the virtual hardware', () => {
  const hardware = {
    number: 2,
    memoryMiB: 768,
    kernel: '/k',
    initramfs: '/i',
    sshKey: 'AAAAkey=',
    console: '/c',
    disks: [{ file: '/data', logicalBlockSizeBytes: 4096 }, { file: '/state' }, { file: '/a,b', readOnly: true }],
  };
  const args = qemuArguments(hardware);
  const valuesOf = (option: string) => args.filter((_, index) => args[index - 1] === option);

  test('the node learns its number and whose key may log in', () => {
    expect(valuesOf('-append')[0]!.split(' ')).toEqual(expect.arrayContaining(['rehome.node=2', 'rehome.key=AAAAkey=']));
  });

  test('disks keep their order, block size and protection', () => {
    const devices = valuesOf('-device').filter((device) => device.startsWith('virtio-blk'));
    expect(devices.map((device) => /drive=(\w+).*logical_block_size=(\d+)/.exec(device)!.slice(1))).toEqual([
      ['disk0', '4096'],
      ['disk1', '512'],
      ['disk2', '512'],
    ]);
    expect(valuesOf('-blockdev').map((backend) => backend.includes('read-only=on'))).toEqual([false, false, true]);
  });

  test('a comma in a file name does not end it', () => {
    expect(valuesOf('-blockdev')[2]).toContain('file.filename=/a,,b,');
  });

  test('each network has its tap and an address of its own', () => {
    expect(valuesOf('-netdev').map((netdev) => /ifname=(\w+)/.exec(netdev)![1])).toEqual(['storage2', 'management2']);
    const macs = valuesOf('-device').flatMap((device) => /mac=([\w:]+)/.exec(device)?.[1] ?? []);
    expect(new Set(macs).size).toBe(2);
  });
});
