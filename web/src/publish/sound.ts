/** Encodes a microphone's sound as Opus. */

import { stamp, type Send } from './encoded';
import { readFrames } from './frames';

/** Bits per second and channel. */
const BITRATE = 64_000;
/** How long a frame of Opus is, in milliseconds. */
export const FRAME_MS = 20;
/** A clock that has come away from the microphone's by more, in microseconds, is set anew. */
const APART = 80_000;

export class SoundEncoder {
  /** For the catalog. Opus runs at 48 kHz whatever it is given. */
  readonly config: AudioEncoderConfig & { numberOfChannels: number; sampleRate: number; bitrate: number };
  encoded = 0;
  #send: Send;
  /** When the next frame begins, by counting samples. */
  #next: number | null = null;

  constructor(track: MediaStreamTrack, send: Send) {
    const { channelCount = 1, sampleRate = 48_000 } = track.getSettings() as {
      channelCount?: number;
      sampleRate?: number;
    };
    const numberOfChannels = Math.min(channelCount, 2);
    this.config = { codec: 'opus', sampleRate, numberOfChannels, bitrate: BITRATE * numberOfChannels };
    this.#send = send;
  }

  /** Encodes until the microphone ends or `signal` says so. Rejects where the encoder fails. */
  async run(track: MediaStreamTrack, signal: AbortSignal): Promise<void> {
    let fail: (error: DOMException) => void = () => undefined;
    const failed = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const encoder = new AudioEncoder({
      output: (chunk) => {
        const payload = new Uint8Array(chunk.byteLength);
        chunk.copyTo(payload);
        this.encoded += 1;
        this.#send({ payload, timestamp: chunk.timestamp, key: true });
      },
      error: (error) => fail(error),
    });
    try {
      await Promise.race([
        readFrames<AudioData>(track, signal, (data) => this.#encode(encoder, data)),
        failed,
      ]);
    } finally {
      if (encoder.state !== 'closed') encoder.close();
    }
  }

  #encode(encoder: AudioEncoder, data: AudioData): void {
    // What a microphone really gives is known only now.
    if (encoder.state === 'unconfigured')
      encoder.configure({
        ...this.config,
        sampleRate: data.sampleRate,
        numberOfChannels: data.numberOfChannels,
      });
    const { numberOfFrames, numberOfChannels, sampleRate } = data;
    const length = (numberOfFrames / sampleRate) * 1e6;
    const heard = stamp() - length;
    const timestamp = this.#next !== null && Math.abs(heard - this.#next) < APART ? this.#next : heard;
    this.#next = timestamp + length;
    const samples = new Float32Array(numberOfFrames * numberOfChannels);
    for (let planeIndex = 0; planeIndex < numberOfChannels; planeIndex++)
      data.copyTo(samples.subarray(planeIndex * numberOfFrames), { planeIndex, format: 'f32-planar' });
    const stamped = new AudioData({
      format: 'f32-planar',
      sampleRate,
      numberOfFrames,
      numberOfChannels,
      timestamp: Math.round(timestamp),
      data: samples,
    });
    encoder.encode(stamped);
    stamped.close();
    data.close();
  }
}
