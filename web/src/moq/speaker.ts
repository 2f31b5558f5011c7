/** Plays decoded sound through Web Audio, as loud as a `<video>` is set to. */

import { Schedule } from './schedule';

export class Speaker {
  /** Pieces of sound that have been played, in seconds of sound. */
  played = 0;
  #video: HTMLVideoElement;
  #delay: () => number;
  #context: AudioContext | null = null;
  #gain: GainNode | null = null;
  #meter: AnalyserNode | null = null;
  #schedule = new Schedule();
  #adjust = (): void => this.#setGain();

  /** `delay` gives local time less media time at which to play, in seconds. */
  constructor(video: HTMLVideoElement, delay: () => number) {
    this.#video = video;
    this.#delay = delay;
    video.addEventListener('volumechange', this.#adjust);
  }

  /** Schedules sound, or leaves it out where it comes too late or nothing may be heard yet. */
  play(data: AudioData): void {
    // Nothing is opened that nobody hears: browsers complain of sound before the first gesture.
    if (this.#video.muted && !this.#context) return;
    const context = this.#open(data.sampleRate);
    if (!this.#meter || !this.isRunning) return;
    const seconds = data.numberOfFrames / data.sampleRate;
    const due = data.timestamp / 1e6 + this.#delay() - performance.now() / 1000 + context.currentTime;
    const at = this.#schedule.place(data.timestamp / 1e6, seconds, due, context.currentTime);
    if (at === null) return;
    const buffer = new AudioBuffer({
      length: data.numberOfFrames,
      numberOfChannels: data.numberOfChannels,
      sampleRate: data.sampleRate,
    });
    for (let planeIndex = 0; planeIndex < data.numberOfChannels; planeIndex++)
      data.copyTo(buffer.getChannelData(planeIndex), { planeIndex, format: 'f32-planar' });
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(this.#meter);
    source.start(at);
    this.played += seconds;
  }

  /** Whether anything can be heard: browsers keep silent until they are touched. */
  get isRunning(): boolean {
    return this.#context?.state === 'running';
  }

  /** Times that the sound broke off for want of more. */
  get gaps(): number {
    return this.#schedule.gaps;
  }

  /** How loud what plays now is, before the volume is applied: root mean square, 0 to 1. */
  get level(): number {
    const meter = this.#meter;
    if (!meter || !this.isRunning) return 0;
    const samples = new Float32Array(meter.fftSize);
    meter.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  }

  /** From the schedule to the ear, in seconds. */
  get latency(): number {
    const context = this.#context;
    return context ? context.baseLatency + (context.outputLatency || 0) : 0;
  }

  close(): void {
    this.#video.removeEventListener('volumechange', this.#adjust);
    void this.#context?.close();
    this.#context = null;
    this.#meter = null;
    this.#gain = null;
  }

  #open(sampleRate: number): AudioContext {
    if (this.#context?.sampleRate === sampleRate) return this.#context;
    void this.#context?.close();
    const context = new AudioContext({ sampleRate, latencyHint: 'interactive' });
    this.#context = context;
    this.#schedule.restart();
    this.#meter = new AnalyserNode(context, { fftSize: 2048 });
    this.#gain = new GainNode(context);
    this.#meter.connect(this.#gain).connect(context.destination);
    this.#setGain();
    return context;
  }

  #setGain(): void {
    const { muted, volume } = this.#video;
    // Over a moment: a step would click.
    this.#gain?.gain.setTargetAtTime(muted ? 0 : volume, this.#context?.currentTime ?? 0, 0.01);
    if (!muted && this.#context?.state === 'suspended') void this.#context.resume().catch(() => undefined);
  }
}
