/** A certificate authority of the cluster's own, and certificates that name its users by common name and organisation. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../command.ts';

export interface Subject {
  readonly commonName: string;
  /** The group of a Kubernetes user. */
  readonly organisation?: string;
  /** IP addresses that a server answers at. */
  readonly addresses?: readonly string[];
}

export interface Certificate {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Elliptic curve keys: made in milliseconds, where RSA takes up to a second each. */
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];

export class CertificateAuthority implements Certificate {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.certificateFile = join(directory, 'ca.crt');
    this.keyFile = join(directory, 'ca.key');
  }

  /** One that was created before. */
  static open(directory: string): CertificateAuthority {
    return new CertificateAuthority(directory);
  }

  /** @throws CommandError of openssl. */
  static async create(directory: string): Promise<CertificateAuthority> {
    const authority = new CertificateAuthority(directory);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(authority.#configuration, '[req]\ndistinguished_name = subject\n[subject]\n');
    await authority.#request('ca', { commonName: 'rehome-lab' }, ['-addext', 'basicConstraints=critical,CA:TRUE']);
    return authority;
  }

  /** @param name of the files. */
  async issue(name: string, subject: Subject): Promise<Certificate> {
    const extensions = ['basicConstraints=critical,CA:FALSE'];
    if (subject.addresses) extensions.push(`subjectAltName=${subject.addresses.map((address) => `IP:${address}`).join(',')}`);
    const signedBy = ['-CA', this.certificateFile, '-CAkey', this.keyFile];
    return this.#request(name, subject, [...signedBy, ...extensions.flatMap((extension) => ['-addext', extension])]);
  }

  get #configuration(): string {
    return join(this.#directory, 'openssl.cnf');
  }

  async #request(name: string, { commonName, organisation }: Subject, options: readonly string[]): Promise<Certificate> {
    const certificateFile = join(this.#directory, `${name}.crt`);
    const keyFile = join(this.#directory, `${name}.key`);
    const subject = `${organisation ? `/O=${organisation}` : ''}/CN=${commonName}`;
    const output = ['-keyout', keyFile, '-out', certificateFile];
    await run('openssl', [
      'req',
      '-x509',
      '-config',
      this.#configuration,
      ...NEW_KEY,
      '-days',
      '3650',
      '-subj',
      subject,
      ...output,
      ...options,
    ]);
    return { certificateFile, keyFile };
  }
}

/** Writes a kubeconfig that needs no other file. It is JSON, which is YAML too. */
export async function writeKubeconfig(file: string, server: string, authority: Certificate, user: Certificate): Promise<void> {
  const [ca, certificate, key] = await Promise.all(
    [authority.certificateFile, user.certificateFile, user.keyFile].map((path) => readFile(path, 'base64')),
  );
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'lab', cluster: { server, 'certificate-authority-data': ca } }],
    users: [{ name: 'user', user: { 'client-certificate-data': certificate, 'client-key-data': key } }],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'user' } }],
    'current-context': 'lab',
  };
  await writeFile(file, `${JSON.stringify(kubeconfig, null, 2)}\n`, { mode: 0o600 });
}
