/** One rendition's sound: subscribed to, decoded as it comes, and played when it is due. */

import type { Broadcast, Track } from '@moq/net';
import { fromBase64 } from './bytes';
import type { SoundRendition } from './catalog';
import { readHeader, samplesOf, type Header } from './cmaf';
import { objects } from './objects';
import { Playout } from './playout';
import type { Speaker } from './speaker';

/** Above the pictures: a gap in the sound is noticed first. */
const PRIORITY = 80;
const PATIENCE_MS = 300;
const OLDEST_MS = 2000;
/** Nearly all of it is waited for: what comes later leaves a gap. */
const PLAYOUT = { share: 0.99, safety: 0.01 };

export class Sound {
  readonly rendition: SoundRendition;
  readonly playout = new Playout(PLAYOUT);
  #subscription: Track.Subscriber;
  #decoder: AudioDecoder;
  #speaker: Speaker;
  #ended: (error: Error | null) => void;
  #closed = false;

  /** Plays a rendition on a speaker, until `ended` is called with the reason, if there is one, or it is closed. */
  constructor(
    broadcast: Broadcast.Consumer,
    rendition: SoundRendition,
    speaker: Speaker,
    ended: (error: Error | null) => void,
  ) {
    this.rendition = rendition;
    this.#speaker = speaker;
    this.#ended = ended;
    this.#subscription = broadcast
      .track(rendition.name)
      .subscribe({ priority: PRIORITY, latencyMax: OLDEST_MS });
    this.#decoder = new AudioDecoder({
      output: (data) => this.#decoded(data),
      error: (error) => this.#end(error),
    });
    this.#run().then(
      () => this.#end(null),
      (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** Whether this browser decodes a rendition. */
  static async isSupported(rendition: SoundRendition): Promise<boolean> {
    try {
      const config = configOf(rendition, readHeader(fromBase64(rendition.init)));
      return (await AudioDecoder.isConfigSupported(config)).supported ?? false;
    } catch {
      return false;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#subscription.close();
    if (this.#decoder.state !== 'closed') this.#decoder.close();
  }

  async #run(): Promise<void> {
    const header = readHeader(fromBase64(this.rendition.init));
    this.#decoder.configure(configOf(this.rendition, header));
    for await (const { payload } of objects(this.#subscription, PATIENCE_MS)) {
      if (this.#closed) return;
      for (const { data, time, duration } of samplesOf(payload, header)) {
        const [timestamp, length] = [Math.round(time * 1e6), Math.round(duration * 1e6)];
        this.#decoder.decode(new EncodedAudioChunk({ type: 'key', data, timestamp, duration: length }));
      }
    }
  }

  #decoded(data: AudioData): void {
    try {
      if (this.#closed) return;
      this.playout.arrived(data.timestamp / 1e6, performance.now() / 1000);
      this.#speaker.play(data);
    } finally {
      data.close();
    }
  }

  #end(error: Error | null): void {
    if (this.#closed) return;
    this.close();
    this.#ended(error);
  }
}

function configOf(
  { codec, sampleRate, channels }: SoundRendition,
  { description }: Header,
): AudioDecoderConfig {
  return { codec, sampleRate, numberOfChannels: channels, ...(description ? { description } : {}) };
}
