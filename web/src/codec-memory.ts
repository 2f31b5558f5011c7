/**
 * hls.js's buffers, made to remember the codec they were told last.
 *
 * hls.js compares a new codec with the one that the first level declared, however often it has changed since: going from AAC to Opus
 * and back it would append AAC to a buffer for Opus.
 */

import Hls, { type BufferCodecsData, type Events } from 'hls.js';

type BufferController = NonNullable<(typeof Hls.DefaultConfig)['bufferController']>;

/** What hls.js's class has and does not tell its types. */
interface Buffers {
  tracks: Partial<Record<string, { levelCodec?: string | undefined }>>;
  onBufferCodecs(event: Events.BUFFER_CODECS, data: BufferCodecsData): void;
}

type Base = new (...of: ConstructorParameters<BufferController>) => Buffers;

class Remembering extends (Hls.DefaultConfig.bufferController as unknown as Base) {
  override onBufferCodecs(event: Events.BUFFER_CODECS, data: BufferCodecsData): void {
    super.onBufferCodecs(event, data);
    for (const [name, told] of Object.entries(data)) {
      const track = this.tracks[name];
      if (track) track.levelCodec = told?.levelCodec;
    }
  }
}

/** For hls.js's configuration. */
export const CodecMemory = Remembering as unknown as BufferController;
