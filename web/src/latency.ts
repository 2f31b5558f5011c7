/**
 * Keeps playback close to the live edge by steering how much media lies buffered ahead of the playhead.
 *
 * Latency is made of what the server and the network need, which the page cannot change, and of the
 * buffer, which it can. With parts the buffer is a saw-tooth: it jumps when a part arrives and drains until
 * the next one. What matters is its lowest point, since that is all that stands between playing and
 * stalling; so the controller looks at the least buffer of a window a little longer than a group, and aims
 * it at a small margin: once by jumping forward, from then on by playing slightly faster or slower.
 *
 * A value without clock, timer or media element: samples go in, decisions come out. All times in seconds.
 */

/** One observation of the media element. */
export interface Sample {
  /** A monotonic clock. */
  now: number;
  currentTime: number;
  /** Where the buffered range that holds the playhead ends. */
  bufferedEnd: number;
}

/** What to do about it. */
export interface Decision {
  rate: number;
  /** Where to seek to, or `null` to stay. */
  jumpTo: number | null;
}

/** Length of the window: longer than the usual two-second group, whose first part is the slowest to come. */
const WINDOW = 2.4;
/** The least buffer aimed at on a steady network. Below it a late part stops the picture. */
const MARGIN = 0.15;
/** The most the margin grows to on a network that keeps stalling. */
const MARGIN_MAX = 1;
/** What one stall adds to the margin, and for how long. */
const STALL_WIDENS = 0.1;
const STALL_REMEMBERED = 60;
/** A jump is worth its small visible skip only for this much over the margin … */
const JUMP_ABOVE = 0.15;
/** … and lands this much above it. */
const JUMP_LEAVES = 0.02;
/** A backlog that faster playback would need more than 20 s for: jump again, though it was done before. */
const BACKLOG = 2;

export class LatencyController {
  #samples: { at: number; ahead: number }[] = [];
  #windowSince: number | null = null;
  #stalls: number[] = [];
  #mayJump = true;

  /** Takes one sample, meant to come about every 40 ms, and says how to play on. */
  sample({ now, currentTime, bufferedEnd }: Sample): Decision {
    this.#windowSince ??= now;
    this.#samples.push({ at: now, ahead: bufferedEnd - currentTime });
    this.#samples = this.#samples.filter((sample) => now - sample.at <= WINDOW);
    if (now - this.#windowSince < WINDOW) return { rate: 1, jumpTo: null };

    const least = this.#samples.reduce((min, sample) => Math.min(min, sample.ahead), Infinity);
    const margin = this.margin(now);
    const over = least - margin;
    if ((this.#mayJump && over > JUMP_ABOVE) || over > BACKLOG) {
      this.#mayJump = false;
      this.#clear();
      return { rate: 1, jumpTo: currentTime + over - JUMP_LEAVES };
    }
    this.#mayJump = false;
    return { rate: rateFor(over), jumpTo: null };
  }

  /** The least buffer aimed at: wider for a while after each stall. */
  margin(now: number): number {
    const recent = this.#stalls.filter((at) => now - at < STALL_REMEMBERED).length;
    return Math.min(MARGIN + recent * STALL_WIDENS, MARGIN_MAX);
  }

  /** Playback stopped for want of media: what was seen before says nothing about what comes. */
  stalled(now: number): void {
    this.#stalls = [...this.#stalls.filter((at) => now - at < STALL_REMEMBERED), now];
    this.#clear();
  }

  /** The playhead was moved or the stream opened anew: a full window first, then one jump is allowed again. */
  restart(): void {
    this.#mayJump = true;
    this.#clear();
  }

  #clear(): void {
    this.#samples = [];
    this.#windowSince = null;
  }
}

/** Speeds that the ear does not notice, by how far the least buffer is over the margin. */
function rateFor(over: number): number {
  if (over > 0.3) return 1.1;
  if (over > 0.06) return 1.04;
  if (over < -0.05) return 0.95;
  return 1;
}
