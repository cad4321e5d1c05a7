/**
 * Debian packages, downloaded and unpacked beside the system: nothing of them is installed on the host.
 *
 * apt chooses the versions and knows the checksums; the downloaded files stay in the cache.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256 } from '../cache.ts';
import { CommandError, run } from '../command.ts';

export interface PackageFile {
  /** File name as apt gives it: `<package>_<version>_<architecture>.deb`, the colon of an epoch as %3a. */
  readonly file: string;
  /** SHA256 in lower-case hexadecimal. */
  readonly checksum: string;
}

/** What each package depends on: the first of alternatives, no virtual packages. Reads the output of `apt-cache depends`. */
export function parseDependencies(output: string): Map<string, string[]> {
  const graph = new Map<string, string[]>();
  let current: string[] = [];
  let alternativeTaken = false;
  for (const line of output.split('\n')) {
    const dependency = /^ ([ |])(?:Pre)?Depends: (\S+)$/.exec(line);
    if (dependency) {
      const [, alternative, name] = dependency;
      if (!alternativeTaken && !name!.startsWith('<')) current.push(name!);
      // `|` says that the next line is an alternative to this one.
      alternativeTaken = alternative === '|';
    } else if (/^\S/.test(line)) {
      current = [];
      alternativeTaken = false;
      graph.set(line.replace(/:\w+$/, ''), current);
    }
  }
  return graph;
}

/**
 * The packages named and the shared libraries they need, through as many steps as it takes. Only libraries are followed: the programs run without
 * service managers and installation helpers.
 */
export function withLibraries(roots: readonly string[], graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found = new Set(roots);
  for (const name of found) for (const dependency of graph.get(name) ?? []) if (isLibrary(dependency)) found.add(dependency);
  return [...found].sort();
}

function isLibrary(name: string): boolean {
  return name.startsWith('lib') || name === 'zlib1g';
}

/** Reads the output of `apt-get download --print-uris`: 'URI' file size SHA256:sum. */
export function parsePackageFiles(output: string): PackageFile[] {
  return [...output.matchAll(/^'\S+' (\S+\.deb) \d+ SHA256:([0-9a-f]{64})$/gm)].map(([, file, checksum]) => ({
    file: file!,
    checksum: checksum!,
  }));
}

/** @throws where apt does not know one of the packages. */
export async function dependenciesOf(names: readonly string[]): Promise<Map<string, string[]>> {
  const only = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map((kind) => `--no-${kind}`);
  const { stdout } = await withPackageLists(() => run('apt-cache', ['depends', '--recurse', ...only, ...names], { timeoutSeconds: 60 }));
  return parseDependencies(stdout);
}

/** Downloads what the directory does not hold whole already. @returns the paths, in the order of apt's answer. */
export async function downloadPackages(names: readonly string[], directory: string): Promise<string[]> {
  await mkdir(directory, { recursive: true });
  return withPackageLists(async () => {
    const { stdout } = await run('apt-get', ['download', '--print-uris', ...names], { timeoutSeconds: 60 });
    const files = parsePackageFiles(stdout);
    const kept = new Set(await readdir(directory));
    const whole = await Promise.all(
      files.map(async ({ file, checksum }) => kept.has(file) && (await sha256(join(directory, file))) === checksum),
    );
    const missing = files.filter((_, index) => !whole[index]).map(({ file }) => packageSpecification(file));
    if (missing.length > 0) {
      // The sandbox user of apt cannot write to a directory of root's: say so beforehand instead of being warned.
      const args = ['-qq', '-o', 'APT::Sandbox::User=root', 'download', ...missing];
      await run('apt-get', args, { workingDirectory: directory, timeoutSeconds: 600 });
    }
    return files.map(({ file }) => join(directory, file));
  });
}

/** `name=version`, as apt wants it, of a file `name_version_architecture.deb`. */
function packageSpecification(file: string): string {
  const [name, version] = file.split('_');
  return `${name}=${decodeURIComponent(version!)}`;
}

/** Unpacks over what `root` holds, through its symbolic links to directories (/bin to /usr/bin), without documentation and translations. */
export async function unpackPackage(file: string, root: string): Promise<void> {
  const exclude = ['doc', 'man', 'locale', 'info', 'lintian', 'bug'].map((directory) => `--exclude=./usr/share/${directory}`);
  const script = 'set -o pipefail; dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink "$@"';
  await run('bash', ['-c', script, file, '-C', root, ...exclude], { timeoutSeconds: 120 });
}

/** Runs `action`, and once more after `apt-get update` where it failed: a fresh machine has no package lists, an old one outdated ones. */
async function withPackageLists<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    await run('apt-get', ['-qq', 'update'], { timeoutSeconds: 300 });
    return action();
  }
}
