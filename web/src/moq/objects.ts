/** The objects of a track in order, without waiting for ever for those of a group that newer ones have overtaken. */

import type { Track } from '@moq/net';

export interface MediaObject {
  payload: Uint8Array;
  /** Whether it begins a group: decoding can begin here. */
  first: boolean;
  /** Whether what came before was given up: the one before it is not the one that precedes it. */
  skipped: boolean;
}

/** The parts of a subscription that are used here. */
export type Groups = Pick<Track.Subscriber, 'nextGroup'>;

/**
 * Gives the objects of a subscription until it ends. Once a newer group has begun, what is left of the older one is waited for so many
 * milliseconds: `patience`. Rejects where the subscription is refused or broken off.
 */
export async function* objects(subscription: Groups, patience: number): AsyncGenerator<MediaObject> {
  let coming = subscription.nextGroup();
  let skipped = false;
  for (;;) {
    const group = await coming;
    if (!group) return;
    coming = subscription.nextGroup();
    const overdue = coming.then(
      (newer) => (newer ? sleep(patience) : forever),
      () => undefined,
    );
    let first = true;
    try {
      for (;;) {
        const frame = await Promise.race([group.readFrame(), overdue.then((): typeof LATE => LATE)]);
        if (frame === undefined) break;
        if (frame === LATE) throw new Error('overtaken');
        yield { payload: frame.payload, first, skipped: first && skipped };
        first = false;
      }
      skipped = false;
    } catch {
      // Overtaken, or given up by the server: the newer group goes on from a point where decoding can begin.
      skipped = true;
    } finally {
      group.close();
    }
  }
}

const LATE: unique symbol = Symbol('late');
const forever = new Promise<void>(() => undefined);

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
