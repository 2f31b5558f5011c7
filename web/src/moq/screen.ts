/** Where decoded pictures are shown: a `<video>`, so that everything else on the page is as with any stream. */

/** Chromium's way to make a track of pictures (W3C, MediaStreamTrack Insertable Media Processing); TypeScript does not know it. */
interface Generator extends MediaStreamTrack {
  readonly writable: WritableStream<VideoFrame>;
}
type GeneratorClass = new (init: { kind: 'video' }) => Generator;

interface Sink {
  stream: MediaStream;
  /** Takes the picture. */
  show(frame: VideoFrame): void;
}

export class Screen {
  #video: HTMLVideoElement;
  #sink: Sink | null = null;

  constructor(video: HTMLVideoElement) {
    this.#video = video;
  }

  /** Shows a picture, which is the screen's to close. */
  show(frame: VideoFrame): void {
    if (!this.#sink) {
      this.#sink = generatorSink() ?? canvasSink();
      this.#video.srcObject = this.#sink.stream;
      // Refused without a gesture, where there is none: the controls say so.
      if (this.#video.autoplay) void this.#video.play().catch(() => undefined);
    }
    this.#sink.show(frame);
  }

  /** Gives the element back. */
  clear(): void {
    if (!this.#sink) return;
    for (const track of this.#sink.stream.getTracks()) track.stop();
    this.#sink = null;
    this.#video.srcObject = null;
  }
}

function generatorSink(): Sink | null {
  const Generator = (globalThis as { MediaStreamTrackGenerator?: GeneratorClass }).MediaStreamTrackGenerator;
  if (!Generator) return null;
  const track = new Generator({ kind: 'video' });
  const writer = track.writable.getWriter();
  return {
    stream: new MediaStream([track]),
    show(frame) {
      // It closes what it is given. What cannot be shown in time is not worth queueing.
      if ((writer.desiredSize ?? 0) <= 0) frame.close();
      else writer.write(frame).catch(() => frame.close());
    },
  };
}

function canvasSink(): Sink {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  return {
    stream: canvas.captureStream(),
    show(frame) {
      if (canvas.width !== frame.displayWidth) canvas.width = frame.displayWidth;
      if (canvas.height !== frame.displayHeight) canvas.height = frame.displayHeight;
      context?.drawImage(frame, 0, 0);
      frame.close();
    },
  };
}
