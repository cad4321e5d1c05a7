import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { makeServerCertificate, withOwnCertificate } from '../../../system/certificate.ts';

const NOW = new Date('2031-02-03T04:05:06.000Z');
const DAY = 24 * 3600 * 1000;

describe('a certificate that a server makes for itself', () => {
  test('is for its names alone, for its time, and signed by its own key', () => {
    const { certificatePem, notAfter } = makeServerCertificate(['rehome-controller.rehome-system.svc', '127.0.0.1'], NOW, DAY);
    const certificate = new X509Certificate(certificatePem);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkHost('rehome-controller.rehome-system.svc')).toBe('rehome-controller.rehome-system.svc');
    expect(certificate.checkHost('rehome-controller.other.svc')).toBeUndefined();
    expect(certificate.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(certificate.checkIP('127.0.0.2')).toBeUndefined();
    expect(new Date(certificate.validFrom).toISOString()).toBe('2031-02-03T03:05:06.000Z');
    expect(new Date(certificate.validTo).toISOString()).toBe('2031-02-04T04:05:06.000Z');
    expect(notAfter.toISOString()).toBe('2031-02-04T04:05:06.000Z');
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  test('is encoded right whatever the length of its names, and never the same twice', () => {
    const serials = [1, 50, 120, 250].map((length) => {
      const name = 'n'.repeat(length);
      const certificate = new X509Certificate(makeServerCertificate([name], NOW, DAY).certificatePem);
      expect(certificate.subjectAltName).toBe(`DNS:${name}`);
      return certificate.serialNumber;
    });
    expect(new Set(serials).size).toBe(serials.length);
  });

  test('lets a client in that trusts it among others, and no other', async () => {
    const [own, other] = [1, 2].map(() => makeServerCertificate(['127.0.0.1'], new Date(), DAY));
    const server = createServer({ cert: own!.certificatePem, key: own!.keyPem }, (_, response) => response.end('served'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const ask = (ca: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, ca }, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).on('error', reject);
      });
    try {
      expect(await ask(other!.certificatePem + own!.certificatePem)).toBe(200);
      await expect(ask(other!.certificatePem)).rejects.toThrow(/self.signed|certificate/);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

describe('a list of trusted certificates', () => {
  const make = (at: Date) => makeServerCertificate(['a'], at, DAY).certificatePem;
  const [old, first, second] = [make(new Date(NOW.getTime() - 2 * DAY)), make(NOW), make(NOW)];

  test.each([
    ['one gets its own certificate', '', first, first],
    ['keeps those of others', first, second, first + second],
    ['loses those that have run out', old + first, second, first + second],
    ['stays as it is with its own in it', first + second, first, first + second],
    ['loses what is none', 'Bag Attributes\n', first, first],
    ['loses what only looks like one', `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n${first}`, second, first + second],
  ])('%s', (_, bundle, own, expected) => {
    expect(withOwnCertificate(bundle, own, NOW, 10)).toBe(expected);
  });

  test('loses the oldest beyond its limit, never its own', () => {
    expect(withOwnCertificate(first + second, make(NOW), NOW, 2)).not.toContain(first);
    const own = make(NOW);
    expect(withOwnCertificate(first + second, own, NOW, 1)).toBe(own);
  });
});
