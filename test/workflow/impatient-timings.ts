/** In the place of `workflows/timings.ts`: as the short ones, but a target is not waited for, either. */
export * from './short-timings.ts';
export const TARGET_LOST_MILLISECONDS = 2000;
