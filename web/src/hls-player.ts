/**
 * Plays one broadcast over HLS: opens the stream, follows the live edge, and opens it again when it
 * fails. hls.js where Media Source Extensions are, the browser's own HLS elsewhere.
 */

import Hls, { ErrorTypes, Events, type ErrorData, type LevelDetails, type MediaPlaylist } from 'hls.js';
import { reopenDelay } from './backoff';
import { Follower } from './follow';
import { hlsConfig, syncDuration } from './hls-config';
import { LevelReader } from './level-reader';
import { joinCodecs, sameSound } from './levels';
import { measure, type Measurement } from './measure';
import { isReady } from './patient-abr';
import { record, type Phase, type Playback, type PlayerError } from './playback';
import { StallMeter } from './stall';

const TICK_MS = 40;
/** A live stream that stands still this long, in seconds, is opened again: a few segments' worth. */
const STUCK = 8;
/** The same where parts arrive many times a second, and after a publisher's return. */
const STUCK_SOON = 4;
/** Nothing more comes of a broadcast that is over: standing still this long, in seconds, it has ended. */
const STILL_AT_THE_END = 1.5;
/** Playing this long, in seconds, ends a run of failures. */
const RECOVERED = 10;
/** A level that failed is gone back to after so long, if the viewer asked for it. */
const FORGIVEN_MS = 5000;

export class HlsPlayer implements Playback {
  readonly video: HTMLVideoElement;
  failure: PlayerError | null = null;
  readonly errors: PlayerError[] = [];

  #hls: Hls | null = null;
  #address: string | null = null;
  #phase: Phase = 'idle';
  /** The address of the level asked for: levels come and go. */
  #wanted: string | null = null;
  #away = false;
  #over = false;
  #levels = new LevelReader();
  #reopenWhenBack = false;
  #attempts = 0;
  #reopenTimer: number | undefined;
  #playingSince: number | null = null;
  #loadingSince = 0;
  #stuckAt = STUCK;
  #mediaErrorAt = -Infinity;
  #started = false;
  #stalls = new StallMeter();
  #follower: Follower;

  constructor(video: HTMLVideoElement) {
    this.video = video;
    this.#follower = new Follower(video);
    video.addEventListener('ended', () => this.#end());
    video.addEventListener('error', () => this.#mediaElementFailed());
    window.setInterval(() => this.#tick(performance.now() / 1000), TICK_MS);
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** The level asked for; -1 is automatic. */
  get wantedLevel(): number {
    return this.#wanted === null
      ? -1
      : (this.#hls?.levels.findIndex(({ uri }) => uri === this.#wanted) ?? -1);
  }

  /** Whether the viewer watches the live edge, rather than what they paused at. */
  get atLive(): boolean {
    return this.#follower.following;
  }

  /** Opens a stream, in place of the one that was open. The choice of quality does not carry over. */
  open(address: string): void {
    this.close();
    this.#address = address;
    this.#wanted = null;
    this.#attempts = 0;
    this.#stalls = new StallMeter();
    this.#load();
  }

  /** Stops and lets go of the stream. */
  close(): void {
    this.#unload();
    this.#address = null;
    this.failure = null;
    this.#phase = 'idle';
  }

  /** Plays the given level as soon as it has media to go on with; -1 leaves the choice to the measured bandwidth. */
  setLevel(level: number): void {
    this.#wanted = this.#hls?.levels[level]?.uri ?? null;
    if (!this.#hls) return;
    if (this.#wanted === null) this.#hls.loadLevel = -1;
    else this.#goToWanted(this.#hls);
  }

  /**
   * Brings hls.js to the level asked for: when it is there, when it is there again after hls.js had to give it up, and when its place
   * among the levels has changed.
   */
  #goToWanted(hls: Hls): void {
    const wanted = this.wantedLevel;
    const level = hls.levels[wanted];
    if (!level || hls.manualLevel === wanted) return;
    const hasFailed = level.loadError > 0 && performance.now() - level.loadErrorTime < FORGIVEN_MS;
    if (hasFailed || !isReady(hls, level)) return;
    // With parts there is next to nothing buffered to replace. Without them, waiting for what is buffered
    // to play out would look as if the choice had been ignored.
    if (this.#follower.steering) hls.loadLevel = wanted;
    else hls.nextLevel = wanted;
  }

  /**
   * Says which tracks the broadcast has, in words that change whenever its levels do. They are brought up to date while the stream
   * plays on.
   */
  setRungs(rungs: string): void {
    if (this.#hls && this.#address !== null) this.#levels.follow(rungs, this.#hls, this.#address);
  }

  /** Returns to the live edge and plays. */
  goLive(): void {
    this.#follower.goLive(this.#hls);
    void this.video.play().catch(() => undefined);
  }

  /** Pauses, or plays on from where it was paused. */
  togglePlay(): void {
    if (this.video.paused) void this.video.play().catch(() => undefined);
    else this.video.pause();
  }

  /** Says whether the publisher is away: then nothing new can come, and standing still is no failure. */
  setAway(away: boolean): void {
    if (away === this.#away) return;
    this.#away = away;
    if (away) return;
    this.#stuckAt = this.#stalls.standing(performance.now() / 1000) + STUCK_SOON;
    if (this.#reopenWhenBack) this.#load();
  }

  /** Says whether the broadcast is over: where the playhead then stands still, it stays. */
  setOver(over: boolean): void {
    this.#over = over;
  }

  /** The broadcast is on air though its playlist had ended: it is a new one under the same name. */
  playAgain(): void {
    if (this.#phase === 'ended') this.#scheduleReopen();
  }

  /** What can be measured now. */
  measure(): Measurement {
    return measure(this.video, this.#hls, this.#stalls.count, this.#follower.partTarget);
  }

  #load(): void {
    const address = this.#address;
    if (address === null) return;
    this.#unload();
    this.#phase = 'loading';
    this.#loadingSince = performance.now() / 1000;
    if (Hls.isSupported()) this.#loadWithHls(address);
    else this.video.src = address;
    void this.video.play().catch(() => undefined); // Refused without a gesture: the controls say so.
  }

  #loadWithHls(address: string): void {
    const hls = new Hls(hlsConfig);
    this.#hls = hls;
    hls.on(Events.ERROR, (_, data) => this.#hlsFailed(hls, data));
    hls.on(Events.MANIFEST_PARSED, () => {
      joinCodecs(hls.levels);
      if (this.wantedLevel >= 0) hls.loadLevel = this.wantedLevel;
    });
    let sound: MediaPlaylist | null = null;
    hls.on(Events.AUDIO_TRACK_SWITCHING, (_, { id }) => {
      sound = hls.audioTracks[id] ?? sound;
    });
    // Chosen here, the sound of the new level's group follows what is buffered; hls.js itself would throw that away first.
    hls.on(Events.AUDIO_TRACKS_UPDATED, (_, { audioTracks }) => {
      if (sound && audioTracks.length > 0) hls.nextAudioTrack = sameSound(audioTracks, sound);
    });
    hls.on(Events.LEVEL_UPDATED, (_, { details }) => this.#levelUpdated(hls, details));
    hls.loadSource(address);
    hls.attachMedia(this.video);
  }

  #levelUpdated(hls: Hls, details: LevelDetails): void {
    const target = syncDuration(details.partTarget);
    if (target !== null && details.partTarget !== this.#follower.partTarget) hls.targetLatency = target;
    this.#follower.partTarget = details.live ? details.partTarget : 0;
  }

  #unload(): void {
    window.clearTimeout(this.#reopenTimer);
    this.#reopenTimer = undefined;
    this.#reopenWhenBack = false;
    this.#started = false;
    this.#playingSince = null;
    this.#stuckAt = STUCK;
    this.#follower.restart();
    this.#levels.stop();
    if (this.#hls) this.#hls.destroy();
    else if (this.video.hasAttribute('src')) {
      this.video.removeAttribute('src');
      this.video.load();
    }
    this.#hls = null;
  }

  #tick(now: number): void {
    const { video } = this;
    if (this.#address === null || this.#phase === 'ended' || this.#phase === 'retrying') return;
    this.#started ||= video.currentTime > 0 && video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;
    const expected = this.#started && !video.paused && !video.seeking && !video.ended;
    if (this.#stalls.observe(now, video.currentTime, expected) && !this.#away) this.#follower.stalled(now);

    const standing = this.#started ? this.#stalls.standing(now) : now - this.#loadingSince;
    const playing = this.#started && standing === 0;
    if (playing) {
      this.#playingSince ??= now;
      this.#stuckAt = this.#follower.partTarget > 0 ? STUCK_SOON : STUCK;
      this.failure = null;
      if (now - this.#playingSince > RECOVERED) this.#attempts = 0;
      if (this.#hls && this.#wanted !== null) this.#goToWanted(this.#hls);
      this.#follower.tick(now);
    } else {
      this.#playingSince = null;
    }
    // Where the sound outlasts the pictures, browsers may wait for pictures for ever.
    if (this.#over && this.#started && standing > STILL_AT_THE_END) return this.#end();
    this.#phase = playing ? 'playing' : this.#started ? 'stalled' : 'loading';
    if (standing > this.#stuckAt && !this.#away && !video.paused) this.#scheduleReopen();
  }

  #end(): void {
    if (this.#address === null) return; // What plays is not ours.
    this.#phase = 'ended';
  }

  #hlsFailed(hls: Hls, data: ErrorData): void {
    if (hls !== this.#hls) return;
    const error = record(this.errors, data.fatal, data.details, data.error.message);
    if (!data.fatal) return;
    const now = performance.now() / 1000;
    if (data.type === ErrorTypes.MEDIA_ERROR && this.#started && now - this.#mediaErrorAt > RECOVERED) {
      this.#mediaErrorAt = now;
      hls.recoverMediaError();
      return;
    }
    this.#fail(error);
  }

  #mediaElementFailed(): void {
    if (this.#hls || this.#address === null) return; // hls.js reports its own.
    const { error } = this.video;
    this.#fail(record(this.errors, true, `mediaElementError${error?.code ?? ''}`, error?.message ?? ''));
  }

  #fail(error: PlayerError): void {
    this.failure = error;
    if (this.#away) {
      // The last picture stays up until there is something to load.
      this.#hls?.stopLoad();
      this.#reopenWhenBack = true;
    } else {
      this.#scheduleReopen();
    }
  }

  #scheduleReopen(): void {
    if (this.#reopenTimer !== undefined) return;
    this.#phase = 'retrying';
    this.#hls?.stopLoad();
    this.#reopenTimer = window.setTimeout(() => this.#load(), reopenDelay(this.#attempts));
    this.#attempts += 1;
  }
}
