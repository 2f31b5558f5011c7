/**
 * When media that arrives is to be played: as soon as may be, yet evenly.
 *
 * What is captured at the same distances arrives at others. The least time that anything took lately is the reference; how much longer
 * most of it took is what has to be waited, so that they can be played at the distances they were captured at. What takes longer still is
 * played late, at once.
 *
 * A value without a clock: times in seconds come as arguments. "Delay" is local time less media time.
 */

/** What is remembered, in seconds: long enough to see the slow ones, such as keyframes. */
const WINDOW = 8;
/** Delays that come to lie lower by more say that what arrived before was not live: the beginning of a group, sent in one go. */
const NOT_LIVE = 0.02;
/** Media time that goes back by more is another timeline, and so may be what comes after a gap. Seconds. */
const WENT_BACK = 1;
const GAP = 0.5;
/** How often the wait is worked out anew. */
const EVERY = 0.25;

export interface PlayoutSettings {
  /** Which share of arrivals is waited for, 0 to 1. */
  share: number;
  /** Seconds on top of that. */
  safety: number;
}

export class Playout {
  /** The newest media time that has arrived; -Infinity before anything has. */
  newest = -Infinity;
  #settings: PlayoutSettings;
  #arrivals: { at: number; delay: number }[] = [];
  #reference = Infinity;
  /** The delay at which what had arrived before was last forgotten. */
  #forgotAt = Infinity;
  #wait = 0;
  #workedOutAt = -Infinity;

  constructor(settings: PlayoutSettings) {
    this.#settings = settings;
  }

  /** Media of this time is there, and could be played now. */
  arrived(time: number, now: number): void {
    if (time < this.newest - WENT_BACK || time > this.newest + GAP) this.restart();
    this.newest = Math.max(this.newest, time);
    const delay = now - time;
    if (delay < this.#forgotAt - NOT_LIVE) {
      this.#forgotAt = delay;
      this.#arrivals = [];
      this.#workedOutAt = -Infinity;
    }
    this.#arrivals.push({ at: now, delay });
    this.#reference = Math.min(this.#reference, delay);
    if (now - this.#workedOutAt >= EVERY) this.#workOut(now);
  }

  /** The delay of what arrives the soonest: that of the live edge. `null` before anything has arrived. */
  get edge(): number | null {
    return this.#reference === Infinity ? null : this.#reference;
  }

  /** The delay to play at. `null` before anything has arrived. */
  get delay(): number | null {
    return this.edge === null ? null : this.#reference + this.#wait;
  }

  /** Forgets what arrived. */
  restart(): void {
    this.newest = -Infinity;
    this.#arrivals = [];
    this.#reference = Infinity;
    this.#forgotAt = Infinity;
    this.#wait = 0;
    this.#workedOutAt = -Infinity;
  }

  #workOut(now: number): void {
    this.#workedOutAt = now;
    this.#arrivals = this.#arrivals.filter(({ at }) => now - at <= WINDOW);
    const delays = this.#arrivals.map(({ delay }) => delay).sort((a, b) => a - b);
    this.#reference = delays[0] ?? Infinity;
    const last = delays[Math.min(delays.length - 1, Math.floor(delays.length * this.#settings.share))];
    this.#wait = last === undefined ? 0 : last - this.#reference + this.#settings.safety;
  }
}

/** Sound may be this much later than its picture, in seconds, before anybody notices (ITU-R BT.1359 has 125 ms). */
const SOUND_BEHIND = 0.12;

/** The delays to play pictures and sound at, together: sound never before its picture, and not noticeably after it. */
export function together(pictures: number | null, sound: number | null): { pictures: number; sound: number } {
  if (pictures === null || sound === null) {
    const only = pictures ?? sound ?? 0;
    return { pictures: only, sound: only };
  }
  return { pictures: Math.max(pictures, sound - SOUND_BEHIND), sound: Math.max(sound, pictures) };
}
