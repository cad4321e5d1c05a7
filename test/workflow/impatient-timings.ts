/** In the place of `workflows/timings.ts`: as the short ones, but a target is not waited for, and pods do not wait long, either. */
export * from './short-timings.ts';
export const TARGET_LOST_MILLISECONDS = 2000;
export const STANDSTILL_MILLISECONDS = 5000;
