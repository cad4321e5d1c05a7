/** In the place of `workflows/timings.ts`. */
export const FIRST_LOOK_MILLISECONDS = 500;
export const LONGEST_LOOK_MILLISECONDS = 1000;
export const WAITING_LOOK_MILLISECONDS = 500;
export const AGENT_LOOK_MILLISECONDS = 500;
/** Those who wait for a turn ask more often, as they do by chance where there are several of them. */
export const SLOW_NET_MILLISECONDS = 3000;
export const GIVEN_UP_MILLISECONDS = 1500;
/** Longer than any of these tests lets a target be away. */
export const TARGET_LOST_MILLISECONDS = 60_000;
export const STANDSTILL_MILLISECONDS = 60_000;
export const HELD_VOLUME_MILLISECONDS = 1500;
