/** A broadcast that is being published: devices, encoders, and the session that they are sent over, which is opened again when it is lost. */

import { Broadcast, Path, Time } from '@moq/net';
import { orAborted } from '../abort';
import { fetchBroadcasts } from '../api';
import { reopenDelay } from '../backoff';
import { fetchEndpoint } from '../endpoint';
import { connect, type Session } from '../moq/session';
import { CATALOG, catalogOf, PICTURES, SOUND } from './catalog';
import { PictureEncoder } from './pictures';
import type { Settings } from './settings';
import { SoundEncoder } from './sound';
import { nameTaken, NO_ENDPOINT, notTaken, refused, Trouble } from './trouble';
import { Wire } from './wire';

/** How the server's interest is waited for. */
const TAKEN_WITHIN_MS = 8000;
/** A session that lasted so long was a good one: the next is opened soon after it. */
const LASTED_MS = 10_000;
/** The server may still hold the name for the session that was lost: so often it may refuse before that is final. */
const MOST_TROUBLES = 4;
/** How long groups are kept for those who subscribe late, in milliseconds. */
const KEPT_MS = 3000;

/** `live`: the server takes what is sent. `retrying`: the session was lost, and is about to be opened again. */
export type State = 'connecting' | 'live' | 'retrying' | 'stopped';

/** A session on which is published. */
interface Air {
  session: Session;
  /** Resolves when the server subscribes to the catalog. */
  used: Promise<void>;
  end: () => void;
}

export class Publication {
  state: State = 'connecting';
  /** Version of the protocol; empty while there is no session. */
  protocol = '';
  readonly pictures: PictureEncoder | null;
  readonly sound: SoundEncoder | null;
  #settings: Settings;
  #pictureWire: Wire;
  #soundWire: Wire;
  #stop = new AbortController();
  #failed: (error: unknown) => void;

  private constructor(
    settings: Settings,
    pictures: { encoder: PictureEncoder; wire: Wire } | null,
    sound: { encoder: SoundEncoder; wire: Wire } | null,
    failed: (error: unknown) => void,
  ) {
    this.#settings = settings;
    this.#failed = failed;
    this.pictures = pictures?.encoder ?? null;
    this.sound = sound?.encoder ?? null;
    this.#pictureWire = pictures?.wire ?? new Wire('by key');
    this.#soundWire = sound?.wire ?? new Wire('by time');
  }

  /**
   * Publishes what devices give. Resolves when the server takes it; rejects with {@link Trouble} where it cannot be published. `failed`
   * hears of what ends it later.
   */
  static async start(
    stream: MediaStream,
    settings: Settings,
    failed: (error: unknown) => void,
  ): Promise<Publication> {
    const [camera] = stream.getVideoTracks();
    const [microphone] = stream.getAudioTracks();
    const pictureWire = new Wire('by key');
    const soundWire = new Wire('by time');
    const publication = new Publication(
      settings,
      camera
        ? {
            encoder: await PictureEncoder.for(camera, settings, (frame) => pictureWire.send(frame)),
            wire: pictureWire,
          }
        : null,
      microphone
        ? { encoder: new SoundEncoder(microphone, (frame) => soundWire.send(frame)), wire: soundWire }
        : null,
      failed,
    );
    try {
      await publication.#begin(camera, microphone);
    } catch (error) {
      publication.stop();
      throw error;
    }
    return publication;
  }

  /** Bytes of media that were sent. */
  get bytes(): number {
    return this.#pictureWire.bytes + this.#soundWire.bytes;
  }

  stop(): void {
    this.#end();
  }

  async #begin(
    camera: MediaStreamTrack | undefined,
    microphone: MediaStreamTrack | undefined,
  ): Promise<void> {
    const { signal } = this.#stop;
    const { name } = this.#settings;
    // Asked first, because a refusal of the server cannot be told from a token that is missing.
    const taken = (await fetchBroadcasts()).some((other) => other.name === name && other.state === 'live');
    if (taken) throw nameTaken(name);
    const run = (encoding: Promise<void> | undefined, what: string): void => {
      encoding?.then(
        () => this.#over(new Trouble(`The ${what} has ended. Plug it in again, then press Start.`)),
        (error: unknown) => this.#over(error),
      );
    };
    if (camera) run(this.pictures?.run(camera, signal), 'camera');
    if (microphone) run(this.sound?.run(microphone, signal), 'microphone');
    void this.#keep(await this.#open());
  }

  /** Opens a session and publishes on it. Resolves, and is live, when the server takes that. */
  async #open(): Promise<Air> {
    const { signal } = this.#stop;
    const endpoint = await fetchEndpoint();
    if (!endpoint) throw new Trouble(NO_ENDPOINT);
    const air = this.#serve(await connect(endpoint, this.#settings.token, signal));
    try {
      await orAborted(this.#taken(air), signal);
      signal.throwIfAborted();
    } catch (error) {
      air.end();
      throw error;
    }
    this.state = 'live';
    return air;
  }

  /** Publishes on a session. */
  #serve(session: Session): Air {
    const broadcast = new Broadcast.Producer();
    const info = { timescale: Time.Timescale.MICRO, latencyMax: KEPT_MS };
    const catalog = broadcast.createTrack(CATALOG);
    // In a group that stays open: whoever subscribes later gets it too.
    const group = catalog.appendGroup();
    group.writeJson(catalogOf(this.pictures, this.sound));
    if (this.pictures) this.#pictureWire.attach(broadcast.createTrack(PICTURES, info));
    if (this.sound) this.#soundWire.attach(broadcast.createTrack(SOUND, info));
    this.pictures?.restart();
    session.connection.publish(Path.from(this.#settings.name), broadcast);
    this.protocol = session.connection.version;
    return {
      session,
      used: new Promise((resolve) => {
        if (catalog.used.peek()) resolve();
        else catalog.used.changed(() => resolve());
      }),
      end: () => {
        this.#pictureWire.attach(null);
        this.#soundWire.attach(null);
        broadcast.close();
        session.connection.close();
        this.protocol = '';
      },
    };
  }

  async #taken({ session, used }: Air): Promise<void> {
    const { name, token } = this.#settings;
    const refusal = (): Trouble => notTaken(name, token !== '');
    let timer: number | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(refusal()), TAKEN_WITHIN_MS);
    });
    const closed = session.ended.then((reason) => {
      throw reason === '' ? refusal() : refused(reason);
    });
    try {
      await Promise.race([used, late, closed]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Opens the session again whenever it is lost, until stopped. */
  async #keep(air: Air): Promise<void> {
    const { signal } = this.#stop;
    try {
      for (let attempt = 0; ;) {
        const since = performance.now();
        await orAborted(air.session.ended, signal).finally(air.end);
        this.state = 'retrying';
        attempt = performance.now() - since > LASTED_MS ? 0 : attempt + 1;
        air = await this.#reopen(attempt);
      }
    } catch (error) {
      this.#over(error);
    }
  }

  /** Tries until the server takes what is sent. Rejects with {@link Trouble} when it is clear that it will not. */
  async #reopen(first: number): Promise<Air> {
    const { signal } = this.#stop;
    let troubles = 0;
    for (let attempt = first; ; attempt += 1) {
      await orAborted(new Promise((resolve) => setTimeout(resolve, reopenDelay(attempt))), signal);
      try {
        return await this.#open();
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof Trouble) troubles += 1;
        if (troubles >= MOST_TROUBLES) throw error;
      }
    }
  }

  /** Before the server has taken anything, it is what {@link start} rejects with. */
  #over(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    const hasBegun = this.state !== 'connecting';
    this.#end(error);
    if (hasBegun) this.#failed(error);
  }

  #end(reason?: unknown): void {
    this.state = 'stopped';
    this.#stop.abort(reason);
  }
}
