/** Reads what a camera or a microphone gives, frame by frame. */

/** Chromium's (W3C, MediaStreamTrack Insertable Media Processing); TypeScript does not know it. */
interface Processor<T> {
  readonly readable: ReadableStream<T>;
}
declare const MediaStreamTrackProcessor: new <T>(init: { track: MediaStreamTrack }) => Processor<T>;

/** Hands each frame to `take`, which closes it, until the track ends or `signal` says so. */
export async function readFrames<T extends VideoFrame | AudioData>(
  track: MediaStreamTrack,
  signal: AbortSignal,
  take: (frame: T) => void,
): Promise<void> {
  if (signal.aborted) return;
  const reader = new MediaStreamTrackProcessor<T>({ track }).readable.getReader();
  const stop = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener('abort', stop, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (signal.aborted) return value.close();
      take(value);
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
