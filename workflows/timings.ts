/** How long workflows wait where nothing tells them to go on. Tests put a module of shorter ones in the place of this one. */

/** From the beginning of a phase to the first look whether its step waits for an agent that is away; each next one comes after twice the time. */
export const FIRST_LOOK_MILLISECONDS = 20_000;
export const LONGEST_LOOK_MILLISECONDS = 5 * 60_000;

/** Between two looks of a migration that waits for a target or for the volume's users: the net beneath the signals. */
export const WAITING_LOOK_MILLISECONDS = 60_000;

/** How long an abort waits for the target's agent before it looks whether that is there at all. */
export const AGENT_LOOK_MILLISECONDS = 20_000;

/** Between two looks of an eviction for migrations that ended without a word: one that is terminated tells nobody. */
export const SLOW_NET_MILLISECONDS = 60_000;

/** For how long a node that turned out to be no target is none; then it is tried again, for somebody may have repaired it. */
export const GIVEN_UP_MILLISECONDS = 10 * 60_000;

/** For how long a target may be out of reach before its copy is given up for another node: mostly it was restarted, and comes back with all of it. */
export const TARGET_LOST_MILLISECONDS = 10 * 60_000;

/**
 * For how long a volume of an evicted pod may not come forward before the eviction is given up, because pods wait for it; twice that from when there is
 * a copy. No shorter than a lost target is waited for.
 */
export const STANDSTILL_MILLISECONDS = 10 * 60_000;

/** For how long a PersistentVolume may be held before a person is called: attachments and deletions pass by themselves. */
export const HELD_VOLUME_MILLISECONDS = 15 * 60_000;
