/** The catalog of what is published, in hang's form, with hang's own container. */

import { FRAME_MS } from './sound';
import type { PictureEncoder } from './pictures';
import type { SoundEncoder } from './sound';

export const CATALOG = 'catalog.json';
export const PICTURES = 'video';
export const SOUND = 'audio';

const CONTAINER = { kind: 'legacy' };

/** Describes what there is of the two. */
export function catalogOf(
  pictures: Pick<PictureEncoder, 'config'> | null,
  sound: Pick<SoundEncoder, 'config'> | null,
): object {
  return {
    ...(pictures ? { video: { renditions: { [PICTURES]: picturesConfig(pictures.config) } } } : {}),
    ...(sound ? { audio: { renditions: { [SOUND]: soundConfig(sound.config) } } } : {}),
  };
}

function picturesConfig({ codec, width, height, bitrate, framerate }: PictureEncoder['config']): object {
  return {
    codec,
    container: CONTAINER,
    codedWidth: width,
    codedHeight: height,
    bitrate,
    framerate,
    optimizeForLatency: true,
    jitter: Math.ceil(1000 / framerate),
  };
}

function soundConfig({ codec, sampleRate, numberOfChannels, bitrate }: SoundEncoder['config']): object {
  return { codec, container: CONTAINER, sampleRate, numberOfChannels, bitrate, jitter: FRAME_MS };
}
