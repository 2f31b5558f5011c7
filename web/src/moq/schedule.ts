/**
 * Puts pieces of sound one after the other, without gaps, near to when they are due.
 *
 * A value without a clock: times in seconds come as arguments, those of playback on one clock, those of media on another.
 */

/** Pieces whose media times are no further apart than this follow each other. */
const CONTIGUOUS = 0.003;
/** So far from when it is due the sound may be before it is brought there, with a small break. */
const TOLERANCE = 0.06;
/** A piece is given to the audio hardware this much before it begins. */
const AHEAD = 0.004;

export class Schedule {
  /** Times that the sound had run out before more came. */
  gaps = 0;
  /** Where the last piece ends, in playback and in media. */
  #end: { at: number; time: number } | null = null;

  /**
   * When to begin a piece of media time `time` that lasts `seconds` and is due at `due`; `null` to leave it out, because it is too late,
   * or because the sound is ahead of its pictures.
   */
  place(time: number, seconds: number, due: number, now: number): number | null {
    const end = this.#end;
    const follows = end !== null && Math.abs(time - end.time) < CONTIGUOUS;
    const inTime = end !== null && end.at >= now + AHEAD;
    if (follows && inTime && Math.abs(end.at - due) <= TOLERANCE) return this.#put(end.at, time, seconds);
    if (follows && inTime && end.at > due) {
      // Behind by more than is tolerated: this piece is left out, and those after it come earlier.
      this.#end = { at: end.at, time: time + seconds };
      return null;
    }
    if (follows && !inTime) this.gaps += 1;
    const at = Math.max(due, end?.at ?? 0);
    if (at < now + AHEAD) {
      this.#end = null;
      return null;
    }
    return this.#put(at, time, seconds);
  }

  restart(): void {
    this.#end = null;
  }

  #put(at: number, time: number, seconds: number): number {
    this.#end = { at: at + seconds, time: time + seconds };
    return at;
  }
}
