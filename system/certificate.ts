/**
 * Certificates that a server makes for itself: an X.509 version 3 certificate (RFC 5280) on an elliptic curve key, signed by that key.
 *
 * Node.js reads certificates but makes none. What is needed is one fixed form, so its DER encoding (X.690) is written out here.
 */
import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIPv4 } from 'node:net';

export interface ServerCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly names: readonly string[];
  readonly notAfter: Date;
}

/** Clocks of those who check it may be behind. */
const BACKDATED_MILLISECONDS = 60 * 60 * 1000;

/** @param names DNS names and IPv4 addresses at which the server is called. */
export function makeServerCertificate(names: readonly string[], now: Date, validMilliseconds: number): ServerCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const notAfter = new Date(now.getTime() + validMilliseconds);
  // Positive, and never the same twice; the name with it, because who looks for an issuer looks for a name.
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(15)]);
  const name = sequence(set(sequence(OID.commonName, der(TAG.utf8String, Buffer.from(`rehome ${serial.toString('hex')}`)))));
  const toBeSigned = sequence(
    der(TAG.version, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, serial),
    sequence(OID.ecdsaWithSha256),
    name,
    sequence(time(new Date(now.getTime() - BACKDATED_MILLISECONDS)), time(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      TAG.extensions,
      sequence(
        extension(OID.subjectAltName, sequence(...names.map(generalName))),
        extension(OID.extendedKeyUsage, sequence(OID.serverAuth)),
      ),
    ),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', toBeSigned, privateKey)]);
  const certificate = sequence(toBeSigned, sequence(OID.ecdsaWithSha256), der(TAG.bitString, signature));
  return {
    certificatePem: pem(certificate),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    names,
    notAfter,
  };
}

/**
 * A list of trusted certificates (PEM) with one's own among them, the newest last; those that have run out, and the oldest beyond the limit, go.
 * @param bundle what is no certificate in it goes too. @returns the same text where nothing changes.
 */
export function withOwnCertificate(bundle: string, own: string, now: Date, limit: number): string {
  const known = bundle.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const valid = known.filter((text) => {
    const certificate = parse(text);
    return certificate && Date.parse(certificate.validTo) > now.getTime();
  });
  const all = valid.includes(own.trim()) ? valid : [...valid, own.trim()];
  const kept = `${all.slice(-limit).join('\n')}\n`;
  return kept === bundle ? bundle : kept;
}

function parse(text: string): X509Certificate | undefined {
  try {
    return new X509Certificate(text);
  } catch {
    return undefined;
  }
}

/** Of X.690 and RFC 5280, `version` and `extensions` being the certificate's tagged fields. */
const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
  dnsName: 0x82,
  ipAddress: 0x87,
  version: 0xa0,
  extensions: 0xa3,
} as const;

function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag, ...lengthOf(content.length)]), content]);
}

function lengthOf(length: number): readonly number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

function sequence(...contents: readonly Uint8Array[]): Buffer {
  return der(TAG.sequence, ...contents);
}

function set(...contents: readonly Uint8Array[]): Buffer {
  return der(TAG.set, ...contents);
}

function extension(id: Uint8Array, value: Uint8Array): Buffer {
  return sequence(id, der(TAG.octetString, value));
}

function generalName(name: string): Buffer {
  if (isIPv4(name)) return der(TAG.ipAddress, Buffer.from(name.split('.').map(Number)));
  return der(TAG.dnsName, Buffer.from(name, 'ascii'));
}

/** YYMMDDhhmmssZ: until 2049, which is longer than any of these lasts. */
function time(date: Date): Buffer {
  return der(TAG.utcTime, Buffer.from(`${date.toISOString().slice(2, 19).replaceAll(/[-:T]/g, '')}Z`));
}

function objectIdentifier(...[first = 0, second = 0, ...rest]: readonly number[]): Buffer {
  const bytes = rest.flatMap((part) => {
    const groups = [part & 0x7f];
    for (let high = part >> 7; high > 0; high >>= 7) groups.unshift((high & 0x7f) | 0x80);
    return groups;
  });
  return der(TAG.objectIdentifier, Buffer.from([first * 40 + second, ...bytes]));
}

const OID = {
  ecdsaWithSha256: objectIdentifier(1, 2, 840, 10045, 4, 3, 2),
  commonName: objectIdentifier(2, 5, 4, 3),
  subjectAltName: objectIdentifier(2, 5, 29, 17),
  extendedKeyUsage: objectIdentifier(2, 5, 29, 37),
  serverAuth: objectIdentifier(1, 3, 6, 1, 5, 5, 7, 3, 1),
} as const;

function pem(content: Uint8Array): string {
  const lines =
    Buffer.from(content)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
