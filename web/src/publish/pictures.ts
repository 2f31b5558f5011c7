/** Encodes a camera's pictures as H.264. */

import { stamp, type Send } from './encoded';
import { readFrames } from './frames';
import { h264, type Settings } from './settings';
import { Trouble } from './trouble';

/** A keyframe at least so often, in microseconds: viewers join, and segments begin, there. */
const KEYFRAME_EVERY = 2_000_000;
/** So many pictures wait for the encoder before others are left out. */
const MOST_WAITING = 4;

export class PictureEncoder {
  /** For the catalog. */
  readonly config: VideoEncoderConfig & { framerate: number; bitrate: number };
  encoded = 0;
  /** Left out, because the encoder could not keep up. */
  dropped = 0;
  #send: Send;
  #lastKey = -Infinity;
  #lastTaken = -Infinity;

  private constructor(config: PictureEncoder['config'], send: Send) {
    this.config = config;
    this.#send = send;
  }

  /** Chooses the configuration for a camera. Rejects with {@link Trouble} where the browser has no encoder for it. */
  static async for(track: MediaStreamTrack, settings: Settings, send: Send): Promise<PictureEncoder> {
    const { width = 1280, height = 720, frameRate = settings.framerate } = track.getSettings();
    const framerate = Math.min(frameRate, settings.framerate) || settings.framerate;
    const size = { width: width & ~1, height: height & ~1 };
    const config = {
      ...size,
      codec: h264(size.width, size.height, framerate),
      bitrate: settings.bitrate,
      framerate,
      latencyMode: 'realtime' as const,
      // Parameter sets come with each keyframe, so that the catalog need not wait for the first.
      avc: { format: 'annexb' as const },
    };
    if (!(await VideoEncoder.isConfigSupported(config)).supported)
      throw new Trouble(
        `This browser cannot encode ${size.width}×${size.height} as H.264. Choose a lower resolution.`,
      );
    return new PictureEncoder(config, send);
  }

  /** Makes the next picture a keyframe. */
  restart(): void {
    this.#lastKey = -Infinity;
  }

  /** Encodes until the camera ends or `signal` says so. Rejects where the encoder fails. */
  async run(track: MediaStreamTrack, signal: AbortSignal): Promise<void> {
    let fail: (error: DOMException) => void = () => undefined;
    const failed = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const encoder = new VideoEncoder({
      output: (chunk) => {
        const payload = new Uint8Array(chunk.byteLength);
        chunk.copyTo(payload);
        this.encoded += 1;
        this.#send({ payload, timestamp: chunk.timestamp, key: chunk.type === 'key' });
      },
      error: (error) => fail(error),
    });
    encoder.configure(this.config);
    try {
      await Promise.race([
        readFrames<VideoFrame>(track, signal, (frame) => this.#encode(encoder, frame)),
        failed,
      ]);
    } finally {
      if (encoder.state !== 'closed') encoder.close();
    }
  }

  #encode(encoder: VideoEncoder, frame: VideoFrame): void {
    const timestamp = stamp();
    const gap = 1e6 / this.config.framerate;
    // Cameras may give more than was asked for; half an interval of slack, because they are not even.
    const isSpare = timestamp - this.#lastTaken < gap / 2;
    const isBusy = encoder.encodeQueueSize > MOST_WAITING;
    if (isBusy) this.dropped += 1;
    if (!isSpare && !isBusy && encoder.state === 'configured') {
      this.#lastTaken = timestamp;
      const keyFrame = timestamp - this.#lastKey >= KEYFRAME_EVERY;
      if (keyFrame) this.#lastKey = timestamp;
      const stamped = new VideoFrame(frame, { timestamp });
      encoder.encode(stamped, { keyFrame });
      stamped.close();
    }
    frame.close();
  }
}
