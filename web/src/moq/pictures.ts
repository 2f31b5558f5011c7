/** One rendition's pictures: subscribed to, and decoded as they come. */

import type { Broadcast, Track } from '@moq/net';
import { fromBase64 } from './bytes';
import type { PictureRendition } from './catalog';
import { readHeader, samplesOf, type Header } from './cmaf';
import { objects } from './objects';
import { Playout } from './playout';

/** Below the sound. */
const PRIORITY = 60;
/** How long the rest of a group is waited for when a newer one has begun, in milliseconds. */
const PATIENCE_MS = 300;
/** A publisher may drop groups older than this, in milliseconds; there is no use for them here by then. */
const OLDEST_MS = 2000;
/** So many pictures wait for a decoder that cannot keep up before they are left out, to the end of their group. */
const MOST_WAITING = 90;
/** Most pictures are waited for; one in ten may be shown a little late rather than all of them be. */
const PLAYOUT = { share: 0.9, safety: 0.004 };

/** What becomes of a track. */
export interface PicturesEvents {
  /** A picture is ready, in order of presentation. It is the receiver's to close. `time` in seconds. */
  picture(frame: VideoFrame, time: number): void;
  /** The network left something out. */
  skipped(): void;
  /** The track is over, or cannot be played on: then with the reason. */
  ended(error: Error | null): void;
}

export class Pictures {
  readonly rendition: PictureRendition;
  readonly playout = new Playout(PLAYOUT);
  /** Of media, since the beginning. */
  bytes = 0;
  #subscription: Track.Subscriber;
  #decoder: VideoDecoder;
  #events: PicturesEvents;
  #closed = false;

  constructor(broadcast: Broadcast.Consumer, rendition: PictureRendition, events: PicturesEvents) {
    this.rendition = rendition;
    this.#events = events;
    this.#subscription = broadcast
      .track(rendition.name)
      .subscribe({ priority: PRIORITY, latencyMax: OLDEST_MS });
    this.#decoder = new VideoDecoder({
      output: (frame) => this.#decoded(frame),
      error: (error) => this.#end(error),
    });
    this.#run().then(
      () => this.#end(null),
      (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** Whether this browser decodes a rendition. */
  static async isSupported(rendition: PictureRendition): Promise<boolean> {
    try {
      const config = configOf(rendition, readHeader(fromBase64(rendition.init)));
      return (await VideoDecoder.isConfigSupported(config)).supported ?? false;
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
    let waitsForKey = true;
    for await (const { payload, first, skipped } of objects(this.#subscription, PATIENCE_MS)) {
      if (this.#closed) return;
      if (skipped) this.#events.skipped();
      this.bytes += payload.byteLength;
      samplesOf(payload, header).forEach(({ data, time, duration, key }, index) => {
        const isKey = key || (first && index === 0);
        if (this.#decoder.decodeQueueSize > MOST_WAITING) waitsForKey = true;
        if (waitsForKey && !isKey) return;
        waitsForKey = false;
        const [timestamp, length] = [Math.round(time * 1e6), Math.round(duration * 1e6)];
        this.#decoder.decode(
          new EncodedVideoChunk({ type: isKey ? 'key' : 'delta', data, timestamp, duration: length }),
        );
      });
    }
  }

  #decoded(frame: VideoFrame): void {
    if (this.#closed) return frame.close();
    const time = frame.timestamp / 1e6;
    this.playout.arrived(time, performance.now() / 1000);
    this.#events.picture(frame, time);
  }

  #end(error: Error | null): void {
    if (this.#closed) return;
    this.close();
    this.#events.ended(error);
  }
}

function configOf({ codec, width, height }: PictureRendition, { description }: Header): VideoDecoderConfig {
  return {
    codec,
    optimizeForLatency: true,
    ...(description ? { description } : {}),
    ...(width > 0 && height > 0 ? { codedWidth: width, codedHeight: height } : {}),
  };
}
