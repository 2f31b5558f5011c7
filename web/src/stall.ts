/**
 * Counts stalls as a viewer sees them: the picture should move and does not.
 *
 * Browsers' `waiting` events also fire for seeks and tiny hiccups nobody notices, so this looks at the
 * playhead itself. A value without a clock: times in seconds come as arguments.
 */
export class StallMeter {
  /** Stalls since the stream was opened. */
  count = 0;
  #position = NaN;
  #movedAt = NaN;
  #stalled = false;

  /**
   * Takes one observation; `expected` says that playback should advance (started, not paused, not seeking,
   * not ended). Returns true at the moment a stall begins.
   */
  observe(now: number, currentTime: number, expected: boolean): boolean {
    if (!expected || Number.isNaN(this.#movedAt) || currentTime !== this.#position) {
      this.#position = currentTime;
      this.#movedAt = now;
      this.#stalled = false;
      return false;
    }
    if (this.#stalled || now - this.#movedAt < STILL) return false;
    this.#stalled = true;
    this.count += 1;
    return true;
  }

  /** How long the picture has stood still, in seconds; 0 while it moves. */
  standing(now: number): number {
    return this.#stalled ? now - this.#movedAt : 0;
  }
}

/** A picture still for this long is noticed; a frame at 10 pictures a second is shorter. */
const STILL = 0.2;
