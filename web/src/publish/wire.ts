/** A track as it is sent: frames in hang's container, in groups. */

import { Time, Varint, type Track } from '@moq/net';
import type { Encoded } from './encoded';

/** Sound begins a group so often, in microseconds: every frame could, but each group costs a stream. */
const GROUP = 1_000_000;

export class Wire {
  /** Of payload. */
  bytes = 0;
  #track: Track.Producer | null = null;
  #group: ReturnType<Track.Producer['appendGroup']> | null = null;
  #groupSince = -Infinity;
  #grouped: 'by key' | 'by time';

  constructor(grouped: 'by key' | 'by time') {
    this.#grouped = grouped;
  }

  /** Goes on to another track, of another session; `null` sends to nobody. The next frame that can begins a group. */
  attach(track: Track.Producer | null): void {
    this.#group?.close();
    this.#group = null;
    this.#track = track;
  }

  /** Sends a frame. Before the first that can begin a group there is nothing to send. */
  send({ payload, timestamp, key }: Encoded): void {
    const track = this.#track;
    if (!track) return;
    if (this.#group === null ? key : this.#isDue(timestamp, key)) {
      this.#group?.close();
      this.#group = track.appendGroup();
      this.#groupSince = timestamp;
    }
    if (!this.#group) return;
    const frame = inContainer(payload, timestamp);
    this.#group.writeFrame({ payload: frame, timestamp: Time.Timestamp.fromMicros(timestamp) });
    this.bytes += frame.byteLength;
  }

  #isDue(timestamp: number, key: boolean): boolean {
    return key && (this.#grouped === 'by key' || timestamp - this.#groupSince >= GROUP);
  }
}

/** hang's container: the time in microseconds as a variable-length integer (RFC 9000, 16), and what was encoded. */
export function inContainer(payload: Uint8Array, timestamp: number): Uint8Array {
  const time = Varint.encode(timestamp);
  const frame = new Uint8Array(time.byteLength + payload.byteLength);
  frame.set(time);
  frame.set(payload, time.byteLength);
  return frame;
}
