/** The tracks of a broadcast that play: pictures in one quality, on the way to another, and sound. */

import type { Broadcast } from '@moq/net';
import type { Catalog, PictureRendition, SoundRendition } from './catalog';
import { Choice } from './choice';
import { Pictures } from './pictures';
import { together } from './playout';
import { Presenter } from './presenter';
import { Screen } from './screen';
import { Sound } from './sound';
import { Speaker } from './speaker';

/** A track that ended though it is still in the catalog is asked for again after so many milliseconds. */
const AGAIN_MS = 500;
/** A quality that has not begun after so many seconds is not waited for. */
const BEGINS_WITHIN = 8;

export class Tracks {
  /** What can be played, low to high. */
  renditions: PictureRendition[] = [];
  /** When the picture on screen came there: seconds since the Unix epoch. */
  shownAtUnix: number | null = null;
  /** How far the picture on screen lay behind the newest media there could be, in seconds. */
  edgeLatency: number | null = null;

  #failed: (error: Error) => void;
  #screen: Screen;
  #speaker: Speaker | null = null;
  #video: HTMLVideoElement;
  #presenter: Presenter<VideoFrame>;
  #broadcast: Broadcast.Consumer | null = null;
  #sounds: SoundRendition[] = [];
  #playing: Pictures | null = null;
  /** It takes over once it has come as far as what plays. */
  #coming: { pictures: Pictures; since: number } | null = null;
  #sound: Sound | null = null;
  #wanted: string | null = null;
  #choice = new Choice();
  #again: number | undefined;
  /** Changes with what is offered or stopped: an answer that was asked for before has no say any more. */
  #turn = 0;

  /** `failed` hears of tracks that could not be played on; they are tried again. */
  constructor(video: HTMLVideoElement, failed: (error: Error) => void) {
    this.#video = video;
    this.#failed = failed;
    this.#screen = new Screen(video);
    this.#presenter = new Presenter(
      (frame, time) => this.#show(frame, time),
      () => this.#delays().pictures,
      () => performance.now() / 1000,
    );
  }

  /** The index of the rendition asked for; -1 is automatic. */
  get wantedIndex(): number {
    return this.renditions.findIndex(({ name }) => name === this.#wanted);
  }

  /** The index of the rendition on screen; -1 while there is none. */
  get playingIndex(): number {
    return this.renditions.findIndex(({ name }) => name === this.#playing?.rendition.name);
  }

  /** Media time of what is seen, or, without pictures, heard; `null` before there is anything. Seconds. */
  get position(): number | null {
    if (this.renditions.length > 0 || !this.#sound) return this.#presenter.position;
    const { delay, newest } = this.#sound.playout;
    return delay === null ? null : Math.min(newest, performance.now() / 1000 - delay);
  }

  /** Media ahead of what is on screen, in seconds. */
  get buffered(): number {
    const { position } = this.#presenter;
    const newest = this.#playing?.playout.newest;
    return position === null || newest === undefined ? 0 : Math.max(0, newest - position);
  }

  get decoded(): number {
    return this.#presenter.shown + this.#presenter.dropped;
  }

  get dropped(): number {
    return this.#presenter.dropped;
  }

  /** How much later than its picture the sound is, in seconds; `null` without either. */
  get soundLag(): number | null {
    if (!this.#sound || !this.#playing || !this.#speaker?.isRunning) return null;
    const { pictures, sound } = this.#delays();
    return sound - pictures + this.#speaker.latency;
  }

  get soundLevel(): number | null {
    return this.#sound && this.#speaker ? this.#speaker.level : null;
  }

  get soundPlayed(): number | null {
    return this.#speaker?.played ?? null;
  }

  get soundGaps(): number | null {
    return this.#speaker?.gaps ?? null;
  }

  /** Asks for the rendition of this name; `null` leaves the choice to bandwidth. */
  want(name: string | null): void {
    this.#wanted = name;
    if (name === null) this.#choice = new Choice();
    this.choose(performance.now() / 1000);
  }

  /** Something did not come in time. */
  trouble(now: number): void {
    if (this.#wanted === null) this.#choice.trouble(now);
  }

  /** Takes what a broadcast offers now, and plays of it. Resolves to false where this browser can play nothing of it. */
  async offer(broadcast: Broadcast.Consumer, { pictures, sounds }: Catalog): Promise<boolean> {
    const turn = ++this.#turn;
    const [seen, heard] = await Promise.all([
      supported(pictures, Pictures.isSupported),
      supported(sounds, Sound.isSupported),
    ]);
    if (turn !== this.#turn) return true;
    this.renditions = seen;
    this.#sounds = heard;
    // Paused, it is only taken note of.
    if (this.#video.paused && this.position !== null) return true;
    this.#broadcast = broadcast;
    this.#hear();
    this.choose(performance.now() / 1000);
    return seen.length + heard.length > 0 || pictures.length + sounds.length === 0;
  }

  /** Plays the rendition that is wanted, or can be had now. Meant to be called often. */
  choose(now: number): void {
    const broadcast = this.#broadcast;
    if (!broadcast) return;
    const automatic = this.#choice.index(this.renditions.length, now);
    const wanted = this.renditions[this.wantedIndex >= 0 ? this.wantedIndex : automatic];
    if (this.#coming && now - this.#coming.since > BEGINS_WITHIN) {
      this.#coming.pictures.close();
      this.#coming = null;
      if (this.#wanted === null) this.#choice.trouble(now);
      else this.#wanted = null;
    }
    if (!wanted) return this.#stopPictures();
    if (this.#coming && !isSame(this.#coming.pictures.rendition, wanted)) {
      this.#coming.pictures.close();
      this.#coming = null;
    }
    if (this.#coming || (this.#playing && isSame(this.#playing.rendition, wanted))) return;
    const pictures = this.#subscribe(broadcast, wanted);
    if (this.#playing) this.#coming = { pictures, since: now };
    else this.#playing = pictures;
  }

  /** Stops what comes. The picture on screen stays. */
  detach(): void {
    this.#turn += 1;
    window.clearTimeout(this.#again);
    this.#broadcast = null;
    this.#stopPictures();
    this.#sound?.close();
    this.#sound = null;
  }

  /** Stops, and gives the element back. */
  close(): void {
    this.detach();
    this.#presenter.clear();
    this.#screen.clear();
    this.#speaker?.close();
    this.#speaker = null;
    this.renditions = [];
    this.#sounds = [];
    this.shownAtUnix = null;
    this.edgeLatency = null;
  }

  #subscribe(broadcast: Broadcast.Consumer, rendition: PictureRendition): Pictures {
    const pictures: Pictures = new Pictures(broadcast, rendition, {
      picture: (frame, time) => this.#decoded(pictures, frame, time),
      skipped: () => this.trouble(performance.now() / 1000),
      ended: (error) => this.#ended(pictures, error),
    });
    return pictures;
  }

  #decoded(pictures: Pictures, frame: VideoFrame, time: number): void {
    if (pictures === this.#coming?.pictures) {
      const { position } = this.#presenter;
      // A track that has come back may count from elsewhere.
      const hasCaughtUp = position === null || time >= position || position - time > BEGINS_WITHIN;
      if (!hasCaughtUp) return frame.close();
      this.#playing?.close();
      this.#playing = pictures;
      this.#coming = null;
    }
    if (pictures === this.#playing) this.#presenter.push(frame, time);
    else frame.close();
  }

  #ended(pictures: Pictures, error: Error | null): void {
    if (error) this.#failed(new Error(`${pictures.rendition.name}: ${error.message}`));
    if (pictures === this.#playing) this.#playing = null;
    if (pictures === this.#coming?.pictures) this.#coming = null;
    this.#tryAgain();
  }

  #hear(): void {
    const broadcast = this.#broadcast;
    const [wanted] = this.#sounds;
    if (this.#sound && wanted && isSame(this.#sound.rendition, wanted)) return;
    this.#sound?.close();
    this.#sound = null;
    if (!wanted || !broadcast) return;
    this.#speaker ??= new Speaker(this.#video, () => this.#delays().sound);
    const sound: Sound = new Sound(broadcast, wanted, this.#speaker, (error) => {
      if (error) this.#failed(new Error(`${wanted.name}: ${error.message}`));
      if (sound === this.#sound) this.#sound = null;
      this.#tryAgain();
    });
    this.#sound = sound;
  }

  #tryAgain(): void {
    window.clearTimeout(this.#again);
    this.#again = window.setTimeout(() => {
      if (!this.#broadcast) return;
      this.#hear();
      this.choose(performance.now() / 1000);
    }, AGAIN_MS);
  }

  #stopPictures(): void {
    this.#playing?.close();
    this.#coming?.pictures.close();
    this.#playing = null;
    this.#coming = null;
  }

  #show(frame: VideoFrame, time: number): void {
    const edge = this.#playing?.playout.edge ?? null;
    this.edgeLatency = edge === null ? null : Math.max(0, performance.now() / 1000 - time - edge);
    this.shownAtUnix = Date.now() / 1000;
    this.#screen.show(frame);
  }

  /** Local time less media time at which to show and to play. */
  #delays(): { pictures: number; sound: number } {
    const audible = this.#sound && this.#speaker?.isRunning ? this.#sound.playout.delay : null;
    return together(this.#playing?.playout.delay ?? null, audible ?? null);
  }
}

/** Whether two renditions are played the same way: then a new catalog changes nothing. */
function isSame(a: { name: string; codec: string; init: string }, b: typeof a): boolean {
  return a.name === b.name && a.codec === b.codec && a.init === b.init;
}

async function supported<T>(renditions: T[], isSupported: (rendition: T) => Promise<boolean>): Promise<T[]> {
  const answers = await Promise.all(renditions.map(isSupported));
  return renditions.filter((_, index) => answers[index]);
}
