/** Tests that each have a world of their own; the tests of a file share a server and a controller. */
import { expect, test as plainTest, vi } from 'vitest';
import type { Harness } from './harness.ts';
import { startDevelopmentServer, startTimeSkippingServer } from './temporal-servers.ts';
import { TestBed } from './test-bed.ts';

// What one test waits for another uses; more at once only wait for the processor.
vi.setConfig({ maxConcurrency: 3 });

function testOn(...bedOptions: Parameters<typeof TestBed.open>) {
  return plainTest.extend<{ $file: { bed: TestBed }; $test: { harness: Harness } }>({
    bed: [
      // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what the fixture needs
      async ({}, use) => {
        const bed = await TestBed.open(...bedOptions);
        await use(bed);
        await bed.close();
      },
      { scope: 'file' },
    ],
    harness: async ({ bed }, use) => {
      const harness = await bed.harness();
      await use(harness);
      await harness.stop();
      expect(harness.world.violations).toEqual([]);
    },
  });
}

/** Waits take their time. */
export const test = testOn(() => startDevelopmentServer());
/** Histories are as long as the server likes them after a few events. */
export const testWithShortHistories = testOn(() => startDevelopmentServer(20));
/** Workflows look of themselves after a second at most, where it is a minute or more. */
export const testWithShortTimings = testOn(() => startDevelopmentServer(), true);
/** Waits are skipped while a result is awaited. */
export const testWithSkippedTime = testOn(startTimeSkippingServer);
