/**
 * Room for volumes on their way to a node, reserved before anything is made there.
 *
 * A reservation is an annotation on the target's LocalStorageNode, written by compare-and-swap: free bytes, volumes and reservations are read at
 * one resourceVersion, judged, and the reservation is written only if nothing of it has changed meanwhile. So two placements at once never
 * take the same room. Agents write the status only, never annotations.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Annotation } from '../../core/contracts/names.ts';
import { type LocalStorageNode, type Reservation, reservationSchema } from '../../core/contracts/objects/index.ts';
import { backoffMilliseconds } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { isConflict } from './errors.ts';
import { localStorageNodes } from './hwameistor-resources.ts';

export interface ReservationRequest<Refusal> {
  readonly node: string;
  readonly volume: string;
  readonly reservation: Reservation;
  /** Judges the node as it was just read; pure, called again after each lost race. @returns undefined where the volume fits, or why not. */
  readonly refusal: (node: LocalStorageNode) => Refusal | undefined;
}

export type ReservationResult<Refusal> = { readonly kind: 'reserved' } | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Many placements at once: each round of one of them succeeds, so the wait need not grow far. */
const BACKOFF = { minimumMilliseconds: 20, maximumMilliseconds: 500 };
/** 50 placements at once needed 14 attempts at most; an agent's updates of the status are in the way too. */
const MAXIMUM_ATTEMPTS = 100;

/** Behind its domain an annotation's key has 63 characters at most, a LocalVolume's name up to 127. */
const MAXIMUM_VOLUME_CHARACTERS = 63 - 'reserve-'.length;
const DIGEST_CHARACTERS = 16;

const isLong = (volume: string): boolean => volume.length > MAXIMUM_VOLUME_CHARACTERS;

function annotationOf(volume: string): string {
  if (!isLong(volume)) return Annotation.reservation(volume);
  const digest = createHash('sha256').update(volume).digest('hex').slice(0, DIGEST_CHARACTERS);
  return Annotation.reservation(`${volume.slice(0, MAXIMUM_VOLUME_CHARACTERS - DIGEST_CHARACTERS - 1)}-${digest}`);
}

/** What is reserved on a node, by volume. An annotation that is none of ours, whatever its key, reserves nothing. */
export function reservationsOf({ metadata }: LocalStorageNode): ReadonlyMap<string, Reservation> {
  const reservations = new Map<string, Reservation>();
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    if (!key.startsWith(Annotation.reservationPrefix)) continue;
    const reservation = parseReservation(value);
    if (reservation) reservations.set(reservation.volume ?? key.slice(Annotation.reservationPrefix.length), reservation);
  }
  return reservations;
}

function parseReservation(text: string): Reservation | undefined {
  try {
    return reservationSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** A reservation that the same migration already holds there is kept. @throws {KubeError} also where there is no such node, and where the races never end. */
export async function reserve<Refusal>(client: KubeClient, request: ReservationRequest<Refusal>): Promise<ReservationResult<Refusal>> {
  const { node, volume } = request;
  const reservation: Reservation = { ...request.reservation, ...(isLong(volume) && { volume }) };
  for (let attempt = 1; ; attempt++) {
    const found = await client.get(localStorageNodes, { name: node });
    if (reservationsOf(found).get(volume)?.id === reservation.id) return { kind: 'reserved' };
    const refusal = request.refusal(found);
    if (refusal !== undefined) return { kind: 'refused', refusal };
    if (await swapAnnotation(client, found, volume, JSON.stringify(reservation), attempt)) return { kind: 'reserved' };
  }
}

/** Gives room back. @param id of the migration: somebody else's reservation, or none, is left as it is. @throws {KubeError} */
export async function releaseReservation(
  client: KubeClient,
  request: { readonly node: string; readonly volume: string; readonly id: string },
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const found = await client.find(localStorageNodes, { name: request.node });
    if (!found || reservationsOf(found).get(request.volume)?.id !== request.id) return;
    if (await swapAnnotation(client, found, request.volume, null, attempt)) return;
  }
}

/** @returns false, after a while, where the node has changed since it was read. */
async function swapAnnotation(
  client: KubeClient,
  node: LocalStorageNode,
  volume: string,
  value: string | null,
  attempt: number,
): Promise<boolean> {
  const { name, resourceVersion } = node.metadata;
  try {
    await client.mergePatch(localStorageNodes, { name }, { metadata: { resourceVersion, annotations: { [annotationOf(volume)]: value } } });
    return true;
  } catch (error) {
    if (!isConflict(error) || attempt >= MAXIMUM_ATTEMPTS) throw error;
    await sleep(backoffMilliseconds(BACKOFF, attempt, Math.random()));
    return false;
  }
}
