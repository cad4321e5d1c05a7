/** Tests that each have a world of their own; the tests of a file share a server and a controller. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Harness } from './harness.ts';
import { quietRuntime, startDevelopmentServer, startTimeSkippingServer } from './temporal-servers.ts';
import { TestBed } from './test-bed.ts';

interface Options {
  /** The server's clock jumps over waits while a result is awaited. Default: they take their time. */
  readonly skippedTime?: boolean;
  /** Workflows look by themselves after a second at most, where it is a minute or more. */
  readonly shortTimings?: boolean;
  /** The same, and a target is given up after seconds. */
  readonly impatient?: boolean;
  /** How many events make a history long. */
  readonly longHistoryEvents?: number;
}

/** To be called once, at the top of a file. */
export function workflowTest({ skippedTime = false, shortTimings = false, impatient = false, longHistoryEvents }: Options = {}) {
  // While one waits for the server another computes; more of them would only wait for the processor.
  vi.setConfig({ maxConcurrency: 3 });
  let bed: TestBed;
  beforeAll(async () => {
    quietRuntime();
    const timings = impatient ? 'impatient-timings' : shortTimings ? 'short-timings' : undefined;
    bed = await TestBed.open(() => (skippedTime ? startTimeSkippingServer() : startDevelopmentServer(longHistoryEvents)), timings);
  });
  afterAll(() => bed?.close());

  return test.extend<{ bed: TestBed; harness: Harness }>({
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern what the fixture needs
    bed: ({}, use) => use(bed),
    harness: async ({ bed }, use) => {
      const harness = await bed.harness();
      await use(harness);
      await harness.stop();
      expect(harness.world.violations).toEqual([]);
    },
  });
}
