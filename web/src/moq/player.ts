/**
 * Plays one broadcast over Media over QUIC: a session, the broadcast's catalog, and the tracks that were chosen from it.
 *
 * CMAF chunks are decoded with WebCodecs as they come and shown when they are due. Media Source Extensions would do with less, but stop
 * the picture for sound that comes in longer chunks; here each waits for no more than it needs itself.
 */

import { Path, type Announce, type Broadcast } from '@moq/net';
import { reopenDelay } from '../backoff';
import type { Endpoint } from '../endpoint';
import type { LevelInfo, Measurement } from '../measure';
import { record, type Phase, type Playback, type PlayerError } from '../playback';
import { StallMeter } from '../stall';
import { catalogs, type Catalog } from './catalog';
import { connect, type Session } from './session';
import { Tracks } from './tracks';

const TICK_MS = 40;
/** A live broadcast that stands still this long, in seconds, is opened again. */
const STUCK = 4;
/** Nothing more comes of a broadcast that is over: standing still this long, in seconds, it has ended. */
const STILL_AT_THE_END = 1.5;
/** How long the server may take to announce a broadcast that it lists, in seconds. */
const ANNOUNCED_WITHIN = 6;
/** Playing this long, in seconds, ends a run of failures. */
const RECOVERED = 10;
/** After so many failures in a row it is time for another protocol. */
const MOST_FAILURES = 3;

/** A clock further away than this, in seconds, is wrong, or the viewer's is. */
const BELIEVABLE = 600;

export class MoqPlayer implements Playback {
  readonly video: HTMLVideoElement;
  failure: PlayerError | null = null;
  readonly errors: PlayerError[] = [];

  #endpoint: () => Promise<Endpoint | null>;
  #givenUp: (why: string) => void;
  #name: string | null = null;
  #phase: Phase = 'idle';
  /** Changes whenever something is opened or closed: what was begun before has no say any more. */
  #turn = 0;
  #session: Session | null = null;
  #announced: Announce.Broadcast | null = null;
  #broadcast: Broadcast.Consumer | undefined;
  #catalog: Catalog | null = null;
  #tracks: Tracks;
  #retry: number | undefined;
  #attempts = 0;
  #failures = 0;
  #openedAt = 0;
  #playingSince: number | null = null;
  #stalls = new StallMeter();
  #away = false;
  #over = false;

  /** `endpoint` tells where to connect to; `givenUp` is called with the reason when nothing comes of it. */
  constructor(
    video: HTMLVideoElement,
    endpoint: () => Promise<Endpoint | null>,
    givenUp: (why: string) => void,
  ) {
    this.video = video;
    this.#endpoint = endpoint;
    this.#givenUp = givenUp;
    this.#tracks = new Tracks(video, (error) => this.#trackFailed(error));
    video.addEventListener('pause', () => this.#paused());
    video.addEventListener('play', () => this.#resumed());
    window.setInterval(() => this.#tick(performance.now() / 1000), TICK_MS);
  }

  get phase(): Phase {
    return this.#phase;
  }

  get wantedLevel(): number {
    return this.#tracks.wantedIndex;
  }

  /** There is nothing but what is live. */
  get atLive(): boolean {
    return !this.video.paused;
  }

  /** Opens a broadcast by its name. The choice of quality does not carry over. */
  open(name: string): void {
    this.close();
    this.#name = name;
    this.#attempts = 0;
    this.#failures = 0;
    this.#stalls = new StallMeter();
    this.#tracks.want(null);
    this.#load();
  }

  close(): void {
    this.#unload();
    this.#tracks.close();
    this.#name = null;
    this.failure = null;
    this.#phase = 'idle';
  }

  setLevel(level: number): void {
    this.#tracks.want(this.#tracks.renditions[level]?.name ?? null);
  }

  goLive(): void {
    void this.video.play().catch(() => undefined);
  }

  togglePlay(): void {
    if (this.video.paused) this.goLive();
    else this.video.pause();
  }

  setAway(away: boolean): void {
    this.#away = away;
  }

  setOver(over: boolean): void {
    this.#over = over;
  }

  /** The catalog tells. */
  setRungs(): void {}

  playAgain(): void {
    if (this.#phase === 'ended') this.#load();
  }

  measure(): Measurement {
    const tracks = this.#tracks;
    const { position } = tracks;
    const clock = this.#catalog?.clock ?? null;
    const clockLatency =
      clock === null ? null : believable(tracks.shownAtUnix, clock + (position ?? 0), position);
    return {
      protocol: this.#session ? `MoQ (${this.#session.connection.version})` : 'MoQ',
      currentTime: position ?? 0,
      buffered: tracks.buffered,
      latency: clockLatency ?? tracks.edgeLatency,
      latencyFrom: clockLatency !== null ? 'clock' : tracks.edgeLatency !== null ? 'edge' : null,
      clockLatency,
      edgeLatency: tracks.edgeLatency,
      level: tracks.playingIndex,
      levels: tracks.renditions.map(levelInfo),
      bandwidth: this.#session?.connection.probe.peek().estimatedRecvRate ?? null,
      playbackRate: 1,
      partTarget: null,
      decodedFrames: tracks.decoded,
      droppedFrames: tracks.dropped,
      stalls: this.#stalls.count,
      soundLag: tracks.soundLag,
      soundLevel: tracks.soundLevel,
      soundPlayed: tracks.soundPlayed,
      soundGaps: tracks.soundGaps,
    };
  }

  #load(): void {
    this.#unload();
    if (this.#name === null) return;
    this.#phase = 'loading';
    this.#openedAt = performance.now() / 1000;
    const turn = this.#turn;
    this.#connect(this.#name, turn).catch((error: unknown) => {
      if (turn === this.#turn) this.#failed('noSession', error);
    });
  }

  async #connect(name: string, turn: number): Promise<void> {
    // Asked anew each time: the certificate may be another by now.
    const endpoint = await this.#endpoint();
    if (turn !== this.#turn) return;
    if (!endpoint) throw new Error('this server does not offer it');
    const session = await connect(endpoint, '');
    if (turn !== this.#turn) return session.connection.close();
    this.#session = session;
    const announced = session.connection.announcedBroadcast(Path.from(name));
    this.#announced = announced;
    announced.active.subscribe((broadcast) => {
      if (turn === this.#turn) this.#follow(broadcast, turn);
    });
    if (announced.active.peek()) this.#follow(announced.active.peek(), turn);
    const why = (await session.ended) || 'the session has ended';
    if (turn === this.#turn) this.#failed('sessionLost', new Error(why));
  }

  /** The broadcast is announced, again, or no longer. What is on screen stays. */
  #follow(broadcast: Broadcast.Consumer | undefined, turn: number): void {
    if (broadcast === this.#broadcast) return;
    this.#broadcast = broadcast;
    this.#tracks.detach();
    if (!broadcast) return;
    this.#readCatalogs(broadcast, turn).catch((error: unknown) => {
      if (turn === this.#turn && broadcast === this.#broadcast) this.#failed('noCatalog', error);
    });
  }

  async #readCatalogs(broadcast: Broadcast.Consumer, turn: number): Promise<void> {
    for await (const catalog of catalogs(broadcast)) {
      if (turn !== this.#turn || broadcast !== this.#broadcast) return;
      this.#catalog = catalog;
      if (!(await this.#tracks.offer(broadcast, catalog)))
        this.#giveUp('this browser decodes none of its codecs with WebCodecs');
    }
  }

  #unload(): void {
    this.#turn += 1;
    window.clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#tracks.detach();
    this.#announced?.close();
    this.#announced = null;
    this.#broadcast = undefined;
    this.#session?.connection.close();
    this.#session = null;
    this.#playingSince = null;
  }

  #tick(now: number): void {
    if (this.#name === null || this.#phase === 'ended' || this.#phase === 'retrying') return;
    const tracks = this.#tracks;
    const { position } = tracks;
    const started = position !== null;
    const expected = started && !this.video.paused;
    if (this.#stalls.observe(now, position ?? 0, expected) && !this.#away) tracks.trouble(now);
    // What was on screen before it was opened again is not held against it.
    const standing = Math.min(started ? this.#stalls.standing(now) : Infinity, now - this.#openedAt);
    const playing = started && standing === 0;
    if (playing) {
      this.#playingSince ??= now;
      this.failure = null;
      if (now - this.#playingSince > RECOVERED) this.#attempts = this.#failures = 0;
      tracks.choose(now);
    } else {
      this.#playingSince = null;
    }
    if (this.#over && started && standing > STILL_AT_THE_END) {
      this.#unload();
      this.#phase = 'ended';
      return;
    }
    this.#phase = playing ? 'playing' : started ? 'stalled' : 'loading';
    // Before the first picture there is nothing that could be paused.
    if (this.#away || (started && this.video.paused)) return;
    const patience = started ? STUCK : ANNOUNCED_WITHIN;
    if (standing > patience && this.#session)
      this.#failed('stuck', new Error(this.#broadcast ? 'nothing comes' : 'the broadcast is not announced'));
  }

  /** Somebody looks at a still picture: no need for what would not be seen. */
  #paused(): void {
    if (this.#name !== null && this.#tracks.position !== null) this.#tracks.detach();
  }

  #resumed(): void {
    if (this.#name === null || !this.#broadcast || !this.#catalog) return;
    void this.#tracks.offer(this.#broadcast, this.#catalog);
  }

  #trackFailed(error: Error): void {
    record(this.errors, false, 'track', error.message);
  }

  #failed(details: string, cause: unknown): void {
    const why = cause instanceof Error ? cause.message : String(cause);
    // None is fatal: there is another protocol.
    this.failure = record(this.errors, false, details, why);
    this.#failures += 1;
    if (this.#tracks.position === null || this.#failures >= MOST_FAILURES) return this.#giveUp(why);
    this.#unload();
    this.#phase = 'retrying';
    this.#retry = window.setTimeout(() => this.#load(), reopenDelay(this.#attempts));
    this.#attempts += 1;
  }

  #giveUp(why: string): void {
    this.#unload();
    this.#givenUp(why);
  }
}

/** The time from capture to screen, of the picture that was shown at `shown`, seconds since the Unix epoch. */
function believable(shown: number | null, captured: number, position: number | null): number | null {
  if (shown === null || position === null) return null;
  const latency = shown - captured;
  return latency >= 0 && latency < BELIEVABLE ? latency : null;
}

function levelInfo(
  { name, width, height, bitrate, codec }: Catalog['pictures'][number],
  index: number,
): LevelInfo {
  return { index, name: height ? `${height}p` : name, width, height, bitrate, codecs: codec, track: name };
}
