/**
 * The lab as other code uses it: the demo, the tests, the command line.
 *
 *     const lab = await Lab.up({ nodes: 3 });          // or Lab.open() on one that runs
 *     await lab.createVolume({ name: 'data-web-0', node: 'n1', size: '256Mi', fileSystem: 'ext4' });
 *     await lab.apply(statefulSet);
 *     await lab.kubectl(['drain', 'n1', '--ignore-daemonsets']);
 *     await lab.kill('n2');
 */
export { takeDownOnInterrupt } from './interrupt.ts';
export { Lab, type ProcessStatus, type UpOptions } from './lab.ts';
export { Steps } from './progress.ts';
export { LabExistsError, NoLabError } from './state.ts';
export type { VolumeRequest } from './volume/create.ts';
