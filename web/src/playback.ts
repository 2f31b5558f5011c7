/** What the page asks of whatever plays a broadcast. */

import type { Measurement } from './measure';

/** `retrying`: the stream could not be loaded and is about to be opened again. */
export type Phase = 'idle' | 'loading' | 'playing' | 'stalled' | 'ended' | 'retrying';

/** Something that went wrong while playing. `details` is a code, hls.js's own where it plays. */
export interface PlayerError {
  /** RFC 3339. */
  at: string;
  fatal: boolean;
  details: string;
  message: string;
}

export interface Playback {
  readonly video: HTMLVideoElement;
  readonly phase: Phase;
  /** Why the stream cannot be loaded, while it cannot. */
  readonly failure: PlayerError | null;
  /** Recent errors, oldest first. */
  readonly errors: PlayerError[];
  /** The level asked for; -1 is automatic. */
  readonly wantedLevel: number;
  /** Whether the viewer watches the live edge, rather than what they paused at. */
  readonly atLive: boolean;
  /** Stops and lets go of the stream. */
  close(): void;
  /** Plays the given level as soon as it has media to go on with; -1 leaves the choice to the player. */
  setLevel(level: number): void;
  /** Returns to the live edge and plays. */
  goLive(): void;
  /** Pauses, or plays on. */
  togglePlay(): void;
  /** Says whether the publisher is away: then nothing new can come, and standing still is no failure. */
  setAway(away: boolean): void;
  /** Says whether the broadcast is over: where the playhead then stands still, it stays. */
  setOver(over: boolean): void;
  /** Says which tracks the broadcast has, in words that change whenever its levels do. */
  setRungs(rungs: string): void;
  /** The broadcast is on air though it had ended: it is a new one under the same name. */
  playAgain(): void;
  /** What can be measured now. */
  measure(): Measurement;
}

const ERRORS_KEPT = 50;

/** Adds an error to those kept, and gives it back. */
export function record(errors: PlayerError[], fatal: boolean, details: string, message: string): PlayerError {
  const error = { at: new Date().toISOString(), fatal, details, message };
  errors.push(error);
  if (errors.length > ERRORS_KEPT) errors.shift();
  return error;
}
