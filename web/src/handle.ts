/** `window.millrace`: what browser tests, and the curious, can look at. */

import type { Measurement } from './measure';
import type { Phase, Player, PlayerError } from './player';

/** A measurement, and how playing it goes. */
export interface Stats extends Measurement {
  phase: Phase;
  /** The level asked for; -1 is automatic. */
  wantedLevel: number;
  /** The last fifty errors, the oldest first; those playback survived have `fatal: false`. */
  errors: PlayerError[];
}

export interface MillraceHandle {
  /** Name of the broadcast shown, such as `live/demo`. */
  readonly broadcast: string | null;
  readonly video: HTMLVideoElement;
  /** A copy: changing it changes nothing. */
  stats(): Stats;
  /** Chooses a quality by its index in `stats().levels`; -1 is automatic. Out of range throws `RangeError`. */
  setLevel(level: number): void;
}

declare global {
  interface Window {
    readonly millrace: MillraceHandle;
  }
}

/** Puts the handle on `window`. */
export function expose(player: Player, broadcast: () => string | null): void {
  const handle: MillraceHandle = Object.freeze({
    get broadcast() {
      return broadcast();
    },
    video: player.video,
    stats: () => ({
      ...player.measure(),
      phase: player.phase,
      wantedLevel: player.wantedLevel,
      errors: player.errors.map((error) => ({ ...error })),
    }),
    setLevel: (level: number) => {
      const count = player.measure().levels.length;
      if (!Number.isInteger(level) || level < -1 || level >= count)
        throw new RangeError(`level ${level} (expected -1 to ${count - 1})`);
      player.setLevel(level);
    },
  });
  Object.defineProperty(window, 'millrace', { value: handle });
}
