/** Shows each picture when it is due. */

/** A picture that waits. */
interface Waiting<Frame> {
  frame: Frame;
  /** Seconds. */
  time: number;
}

/** What is shown, and what is not, has to be closed. */
export interface Closable {
  close(): void;
}

/** Timers count in whole milliseconds: what is due within so many seconds is due. */
const ALMOST = 0.001;

/** So many wait at most: decoders have few to give. */
const MOST = 24;

export class Presenter<Frame extends Closable> {
  /** The time of the picture on screen, in seconds; `null` before the first. */
  position: number | null = null;
  shown = 0;
  /** Pictures that came too late to be shown. */
  dropped = 0;

  #show: (frame: Frame, time: number) => void;
  #delay: () => number;
  #now: () => number;
  #queue: Waiting<Frame>[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `delay` gives local time less media time at which to show; `now` the local time. Seconds. */
  constructor(show: (frame: Frame, time: number) => void, delay: () => number, now: () => number) {
    this.#show = show;
    this.#delay = delay;
    this.#now = now;
  }

  /** Takes a picture. Those of the same time or later that wait are of another rendition, which it replaces. */
  push(frame: Frame, time: number): void {
    while (this.#queue.length > 0 && (this.#queue.at(-1)?.time ?? 0) >= time) this.#drop(this.#queue.pop());
    this.#queue.push({ frame, time });
    // The first is shown at once, early or late, and so is one that there is no room for.
    if (this.position === null || this.#queue.length > MOST) this.#present(this.#queue.shift());
    this.run();
  }

  /** Shows what is due, and comes back when the next is. */
  run(): void {
    clearTimeout(this.#timer);
    const now = this.#now();
    let due: Waiting<Frame> | undefined;
    while (this.#queue.length > 0 && (this.#queue[0]?.time ?? 0) + this.#delay() <= now + ALMOST) {
      this.#drop(due);
      due = this.#queue.shift();
    }
    this.#present(due);
    const next = this.#queue[0];
    if (next) this.#timer = setTimeout(() => this.run(), (next.time + this.#delay() - now) * 1000);
  }

  /** Forgets what waits, and what is on screen. */
  clear(): void {
    clearTimeout(this.#timer);
    for (const { frame } of this.#queue) frame.close();
    this.#queue = [];
    this.position = null;
  }

  #present(due: Waiting<Frame> | undefined): void {
    if (!due) return;
    this.position = due.time;
    this.shown += 1;
    this.#show(due.frame, due.time);
  }

  #drop(waiting: Waiting<Frame> | undefined): void {
    if (!waiting) return;
    this.dropped += 1;
    waiting.frame.close();
  }
}
