import { defineConfig } from 'vitest/config';

/** A control plane for each file. */
const CLUSTER = { globalSetup: ['test/cluster/global-setup.ts'], testTimeout: 60_000, hookTimeout: 180_000 };

/** They hold how long something takes, or how much memory: nothing else runs beside them. */
const MEASURING = ['controller', 'leases', 'memory', 'migrate-by-kubectl', 'stopping', 'triggers', 'watcher'].map(
  (name) => `test/cluster/${name}.test.ts`,
);

/** On real nodes, of which there is one set. */
const LAB = {
  globalSetup: ['test/lab/global-setup.ts'],
  setupFiles: ['test/lab/tell-of-failure.ts'],
  fileParallelism: false,
  testTimeout: 300_000,
  hookTimeout: 600_000,
};

/** One project for each kind of test, so that each can be run alone: `npm run test:unit` and so on. `npm test` leaves out `lab-long` and `chaos`. */
export default defineConfig({
  test: {
    // The Temporal SDK's native runtime does not survive worker threads.
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          // A process and its modules for each file cost more than the tests: no module keeps state, and whoever changes something global puts it back.
          isolate: false,
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: 'workflow',
          include: ['test/workflow/**/*.test.ts'],
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          exclude: MEASURING,
          maxWorkers: 2,
          ...CLUSTER,
        },
      },
      // After those, one file at a time.
      { extends: true, test: { name: 'cluster-measuring', include: MEASURING, fileParallelism: false, ...CLUSTER } },
      { extends: true, test: { name: 'lab', include: ['test/lab/**/*.test.ts'], ...LAB } },
      { extends: true, test: { name: 'lab-long', include: ['test/lab-long/**/*.test.ts'], ...LAB } },
      { extends: true, test: { name: 'chaos', include: ['test/chaos/**/*.test.ts'], ...LAB } },
    ],
  },
});
