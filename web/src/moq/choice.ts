/**
 * The quality that is left to the player: the highest that the network carries.
 *
 * What a rendition needs is known only by trying it. Where groups are given up or the picture stands still, the next lower one is taken;
 * after a quiet time the next higher one is tried, and after each time that fails the quiet time is longer.
 *
 * A value without a clock: times in seconds come as arguments.
 */

/** So many troubles, within so many seconds, are no accident. */
const TROUBLES = 2;
const WITHIN = 10;
const QUIET_FIRST = 20;
const QUIET_MOST = 320;
/** Trouble so soon after going up is the higher one's fault. */
const ON_TRIAL = 15;

export class Choice {
  /** How many below the highest. */
  #below = 0;
  #troubles: number[] = [];
  #quietSince: number | null = null;
  #quiet = QUIET_FIRST;
  #wentUpAt = -Infinity;

  /** Something did not come in time. */
  trouble(now: number): void {
    this.#quietSince = now;
    this.#troubles = [...this.#troubles.filter((at) => now - at < WITHIN), now];
    if (this.#troubles.length < TROUBLES) return;
    if (now - this.#wentUpAt < ON_TRIAL) this.#quiet = Math.min(this.#quiet * 2, QUIET_MOST);
    this.#troubles = [];
    this.#below += 1;
  }

  /** Which of `count` renditions, low to high, to play now; -1 where there is none. */
  index(count: number, now: number): number {
    this.#quietSince ??= now;
    this.#below = Math.min(this.#below, Math.max(0, count - 1));
    if (this.#below > 0 && now - this.#quietSince > this.#quiet) {
      this.#below -= 1;
      this.#quietSince = now;
      this.#wentUpAt = now;
    }
    return count - 1 - this.#below;
  }
}
