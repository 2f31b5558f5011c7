/**
 * The server's list of broadcasts, `GET /api/v1/broadcasts`: its shape, and the reading of it.
 *
 * What arrives is checked field by field, so that the rest of the page can trust its types. An entry
 * without a name or a playable address is left out; a missing detail becomes `null` or empty.
 */

/** `live`: media flows. `waiting`: the publisher is away and may come back. `ended`: it will not. */
export type BroadcastState = 'live' | 'waiting' | 'ended';

/** One elementary stream of a broadcast. */
export interface Track {
  name: string;
  kind: string;
  /** RFC 6381 codec string, such as `avc1.64001f`; empty while it is not known. */
  codec: string;
  /** Picture size in pixels; `null` for audio. */
  width: number | null;
  height: number | null;
  /** Bits per second, measured by the server. */
  bitrate: number | null;
  /** The rung this track is, or `null` for a track of the source. */
  rendition: string | null;
  /** The plugin that made it, or `null` for a track of the source. */
  madeBy: string | null;
}

/** One live source and everything derived from it. */
export interface Broadcast {
  name: string;
  state: BroadcastState;
  /** Path of the multivariant playlist, on this origin. */
  hls: string;
  /** RFC 3339; changes when the name is taken by a new broadcast. */
  startedAt: string | null;
  lowLatency: boolean;
  /** Sentences for people, such as why a stream has no low latency. */
  notes: string[];
  tracks: Track[];
}

const ADDRESS = '/api/v1/broadcasts';
const ANSWER_WITHIN_MS = 5000;

/** Asks the server for its list. Rejects when it cannot be reached, fails, or answers with something else. */
export async function fetchBroadcasts(): Promise<Broadcast[]> {
  const response = await fetch(ADDRESS, {
    cache: 'no-store',
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
  });
  if (!response.ok) throw new Error(`${ADDRESS} answered ${response.status}`);
  return parseBroadcasts(await response.json());
}

/** Reads the list out of parsed JSON. Throws when the document has no `broadcasts` array. */
export function parseBroadcasts(document: unknown): Broadcast[] {
  const entries = isRecord(document) ? document['broadcasts'] : undefined;
  if (!Array.isArray(entries)) throw new Error('expected an object with an array named "broadcasts"');
  return entries.flatMap((entry) => parseBroadcast(entry) ?? []);
}

function parseBroadcast(entry: unknown): Broadcast | null {
  if (!isRecord(entry)) return null;
  const name = text(entry['name']);
  const hls = text(entry['hls']);
  // Only paths on this origin: "//host/…" would be another one.
  if (!name || !hls || !/^\/(?!\/)/.test(hls)) return null;
  return {
    name,
    hls,
    state: state(entry['state']),
    startedAt: text(entry['started_at']),
    lowLatency: entry['low_latency'] === true,
    notes: list(entry['notes']).flatMap((note) => text(note) ?? []),
    tracks: list(entry['tracks']).flatMap((track) => parseTrack(track) ?? []),
  };
}

function parseTrack(entry: unknown): Track | null {
  if (!isRecord(entry)) return null;
  const name = text(entry['name']);
  if (!name) return null;
  return {
    name,
    kind: text(entry['kind']) ?? '',
    codec: text(entry['codec']) ?? '',
    width: positive(entry['width']),
    height: positive(entry['height']),
    bitrate: positive(entry['bitrate']),
    rendition: text(entry['rendition']),
    madeBy: text(entry['made_by']),
  };
}

function state(value: unknown): BroadcastState {
  return value === 'live' || value === 'waiting' ? value : 'ended';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function positive(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : null;
}
