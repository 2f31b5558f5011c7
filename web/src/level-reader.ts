/** Reads the multivariant playlist again, beside the hls.js that plays, and brings that one's levels up to date. */

import Hls, { Events, type Level, type MediaPlaylist } from 'hls.js';
import { joinCodecs, mergeLevels, newSounds } from './levels';

export class LevelReader {
  #rungs: string | null = null;
  #reader: Hls | null = null;

  /** Reads the playlist at `address` where `rungs` is not what it was. What it said first is what `hls` opened with. */
  follow(rungs: string, hls: Hls, address: string): void {
    const before = this.#rungs;
    this.#rungs = rungs;
    if (before !== null && before !== rungs && hls.levels.length > 0) this.#read(hls, address);
  }

  /** The stream is closed. */
  stop(): void {
    this.#rungs = null;
    this.#forget();
  }

  #read(hls: Hls, address: string): void {
    this.#forget();
    const reader = new Hls({ autoStartLoad: false, enableWorker: false });
    this.#reader = reader;
    reader.on(Events.MANIFEST_PARSED, (_, { levels, audioTracks }) => {
      if (reader !== this.#reader) return;
      merge(hls, [...levels], [...audioTracks]);
      this.#forget();
    });
    reader.on(Events.ERROR, (_, { fatal }) => {
      if (!fatal || reader !== this.#reader) return;
      this.#forget();
      // So that whatever is said next is a change.
      this.#rungs = '';
    });
    reader.loadSource(address);
  }

  #forget(): void {
    const reader = this.#reader;
    this.#reader = null;
    // Not from within its own event.
    if (reader) queueMicrotask(() => reader.destroy());
  }
}

/** Goes on with the levels and sounds that were read. */
function merge(hls: Hls, read: Level[], sounds: MediaPlaylist[]): void {
  const loading = hls.loadLevelObj;
  const merged = mergeLevels(hls.levels, read, loading);
  if (merged.length === hls.levels.length && merged.every((level, i) => level === hls.levels[i])) return;
  joinCodecs(merged);
  hls.allAudioTracks.push(...newSounds(hls.allAudioTracks, sounds));
  // Where fragments belong is told by their level's index.
  for (const level of new Set([...hls.levels, ...merged])) {
    const index = merged.indexOf(level);
    for (const fragment of level.details?.fragments ?? []) {
      fragment.level = index;
      if (fragment.initSegment) fragment.initSegment.level = index;
    }
  }
  const automatic = hls.autoLevelEnabled;
  hls.trigger(Events.LEVELS_UPDATED, { levels: merged });
  const index = loading ? merged.indexOf(loading) : -1;
  if (index < 0 || index === hls.loadLevel) return;
  if (automatic) hls.nextLoadLevel = index;
  else hls.loadLevel = index;
}
