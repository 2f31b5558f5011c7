/** `window.millrace`: what browser tests, and the curious, can look at. */

import type { Measurement } from './measure';
import type { Phase, PlayerError } from './playback';
import type { Protocol, Viewer } from './viewer';

/** A measurement, and how playing it goes. */
export interface Stats extends Measurement {
  phase: Phase;
  /** The level asked for; -1 is automatic. */
  wantedLevel: number;
  wantedProtocol: Protocol;
  /** Why the broadcast is not played over MoQ, where it was to be. */
  whyNotMoq: string | null;
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
  /** Chooses what to play over, where it can be. */
  setProtocol(protocol: Protocol): void;
}

declare global {
  interface Window {
    readonly millrace: MillraceHandle;
  }
}

/** Puts the handle on `window`. */
export function expose(player: Viewer, broadcast: () => string | null): void {
  const handle: MillraceHandle = Object.freeze({
    get broadcast() {
      return broadcast();
    },
    video: player.video,
    stats: () => ({
      ...player.measure(),
      phase: player.phase,
      wantedLevel: player.wantedLevel,
      wantedProtocol: player.wantedProtocol,
      whyNotMoq: player.whyNotMoq,
      errors: player.errors.map((error) => ({ ...error })),
    }),
    setLevel: (level: number) => {
      const count = player.measure().levels.length;
      if (!Number.isInteger(level) || level < -1 || level >= count)
        throw new RangeError(`level ${level} (expected -1 to ${count - 1})`);
      player.setLevel(level);
    },
    setProtocol: (protocol: Protocol) => player.setProtocol(protocol),
  });
  Object.defineProperty(window, 'millrace', { value: handle });
}
