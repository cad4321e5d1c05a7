import { defineConfig } from 'vitest/config';

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
        },
      },
      {
        extends: true,
        test: {
          name: 'workflow',
          include: ['test/workflow/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 180_000,
        },
      },
      { extends: true, test: { name: 'lab', include: ['test/lab/**/*.test.ts'], ...LAB } },
      { extends: true, test: { name: 'lab-long', include: ['test/lab-long/**/*.test.ts'], ...LAB } },
      { extends: true, test: { name: 'chaos', include: ['test/chaos/**/*.test.ts'], ...LAB } },
    ],
  },
});
