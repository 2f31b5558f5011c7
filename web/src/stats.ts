/** The statistics panel: figures twice a second, and a chart of the last minute. */

import { draw, History } from './chart';
import { byId, el, setText } from './dom';
import { bitrate, seconds, size } from './format';
import type { LatencySource, Measurement } from './measure';

const SOURCES: Record<LatencySource, string> = {
  clock: "by the stream's clock",
  edge: 'from the live edge',
};

const ROWS = [
  ['protocol', 'Protocol', 'What the broadcast is played over'],
  ['clock', "Latency, stream's clock", "This machine's clock minus the programme date-time of the picture"],
  ['edge', 'Latency, live edge', 'Behind the newest media the server has listed'],
  ['buffer', 'Buffered ahead', 'Media in the browser that has not played yet'],
  ['level', 'Playing', 'The quality on screen'],
  ['bandwidth', 'Bandwidth', 'Estimated from the media loaded so far'],
  ['rate', 'Speed', 'Playback runs slightly fast or slow to hold the latency'],
  ['frames', 'Frames dropped', 'Of all that were decoded'],
  ['stalls', 'Stalls', 'Times the picture stood still'],
  [
    'sound',
    'Sound after picture',
    'The browser keeps them together, but for MoQ, where neither waits for the other',
  ],
] as const;

type Row = (typeof ROWS)[number][0];

export class StatsPanel {
  #history = new History();
  #values = new Map<Row, HTMLElement>();
  #headline = byId('latency', HTMLElement);
  #source = byId('latency-source', HTMLElement);
  #bufferHeadline = byId('buffer', HTMLElement);
  #canvas = byId('chart', HTMLCanvasElement);

  constructor() {
    const list = byId('figures', HTMLElement);
    for (const [row, label, explanation] of ROWS) {
      const term = el('dt', '', label);
      term.title = explanation;
      const value = el('dd', '', '–');
      this.#values.set(row, value);
      list.append(el('div', '', term, value));
    }
  }

  /** Shows a measurement; `active` says that something is being watched. `now` in seconds. */
  show(m: Measurement, active: boolean, now: number): void {
    const latency = active ? m.latency : null;
    const buffer = active ? m.buffered : null;
    this.#history.add({ at: now, latency, buffer });
    draw(this.#canvas, this.#history, now);
    setText(this.#headline, seconds(latency));
    setText(this.#source, latency !== null && m.latencyFrom ? SOURCES[m.latencyFrom] : '');
    setText(this.#bufferHeadline, seconds(buffer));
    this.#canvas.setAttribute(
      'aria-label',
      `The last minute: latency now ${seconds(latency)}, buffer now ${seconds(buffer)}`,
    );

    const level = m.levels[m.level];
    const figures: Record<Row, string> = {
      protocol: m.protocol,
      clock: seconds(m.clockLatency),
      edge: seconds(m.edgeLatency),
      buffer: seconds(m.buffered),
      level: level ? `${size(level.width, level.height) || level.name}, ${bitrate(level.bitrate)}` : '–',
      bandwidth: bitrate(m.bandwidth),
      rate: `${m.playbackRate.toFixed(2)}×`,
      frames: `${m.droppedFrames} of ${m.decodedFrames}`,
      stalls: String(m.stalls),
      sound: seconds(m.soundLag),
    };
    for (const [row, element] of this.#values) setText(element, active ? figures[row] : '–');
  }

  /** Another broadcast: its history starts empty. */
  clear(): void {
    this.#history.clear();
  }
}
