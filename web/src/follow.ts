/** Carries out the latency controller's decisions on a media element. */

import type Hls from 'hls.js';
import { LatencyController } from './latency';
import { bufferedEnd } from './measure';

/** After a pause no longer than this, in milliseconds, the viewer still wants what is live. */
const STILL_LIVE_MS = 3000;
/** What a jump to the live edge leaves in the buffer, in seconds. */
const EDGE_MARGIN = 0.25;

export class Follower {
  /** Duration of the stream's parts in seconds; 0 where it has none, and is left to hls.js. */
  partTarget = 0;
  /** False while the viewer watches something older, after a pause. */
  following = true;

  #video: HTMLVideoElement;
  #controller = new LatencyController();
  #jumping = false;
  #pausedAt: number | null = null;

  constructor(video: HTMLVideoElement) {
    this.#video = video;
    video.addEventListener('pause', () => {
      this.#pausedAt = performance.now();
    });
    video.addEventListener('play', () => this.#resumed());
    video.addEventListener('seeked', () => {
      if (!this.#jumping) this.#controller.restart();
      this.#jumping = false;
    });
    // A hidden page may have been throttled or paused; it has some catching up to do.
    document.addEventListener('visibilitychange', () => this.#controller.restart());
  }

  /** Whether the controller is at work. */
  get steering(): boolean {
    return this.partTarget > 0 && this.following;
  }

  /** Looks at the buffer and steers; meant to be called about every 40 ms while playing. */
  tick(now: number): void {
    const video = this.#video;
    if (!this.steering) {
      if (video.playbackRate !== 1) video.playbackRate = 1;
      return;
    }
    const end = bufferedEnd(video);
    if (end === null || video.paused || video.seeking) return;
    const { rate, jumpTo } = this.#controller.sample({
      now,
      currentTime: video.currentTime,
      bufferedEnd: end,
    });
    if (video.playbackRate !== rate) video.playbackRate = rate;
    if (jumpTo !== null) {
      this.#jumping = true;
      video.currentTime = jumpTo;
    }
  }

  /** Moves to the live edge, within the buffer if it reaches there, and follows it from now on. */
  goLive(hls: Hls | null): void {
    const video = this.#video;
    this.following = true;
    this.#pausedAt = null;
    this.#controller.restart();
    const { seekable } = video;
    const sync = hls?.liveSyncPosition ?? (seekable.length > 0 ? seekable.end(seekable.length - 1) : null);
    const end = bufferedEnd(video);
    const edge = end !== null && this.partTarget > 0 ? Math.max(end - EDGE_MARGIN, sync ?? 0) : sync;
    if (edge !== null && edge > video.currentTime) video.currentTime = edge;
  }

  /** The stream was opened anew. */
  restart(): void {
    this.partTarget = 0;
    this.following = true;
    this.#jumping = false;
    this.#pausedAt = null;
    this.#controller.restart();
    this.#video.playbackRate = 1;
  }

  stalled(now: number): void {
    this.#controller.stalled(now);
  }

  #resumed(): void {
    if (this.#pausedAt !== null && performance.now() - this.#pausedAt > STILL_LIVE_MS) this.following = false;
    this.#pausedAt = null;
    this.#controller.restart();
  }
}
