/** hang's catalog, the track `catalog.json` of a broadcast: what can be played. What arrives is checked field by field. */

import type { Broadcast, Track } from '@moq/net';

/** A track that can be played. */
export interface Rendition {
  /** Name of its track. */
  name: string;
  /** RFC 6381. */
  codec: string;
  /** CMAF header: `ftyp` and `moov`, as text in Base64, by which two can be compared. */
  init: string;
  /** Bits per second; 0 where it is not known. */
  bitrate: number;
}

export interface PictureRendition extends Rendition {
  /** Pixels; 0 where it is not known. */
  width: number;
  height: number;
}

export interface SoundRendition extends Rendition {
  /** Hz. */
  sampleRate: number;
  channels: number;
}

export interface Catalog {
  /** Low to high. */
  pictures: PictureRendition[];
  sounds: SoundRendition[];
  /** When the media's time 0 was captured: seconds since the Unix epoch, where the server says so. */
  clock: number | null;
}

/** The name of the catalog's track. */
const TRACK = 'catalog.json';
/** The highest there is: without it nothing is played. */
const PRIORITY = 100;
/** Clocks of catalogs count from 2020-01-01. Seconds since the Unix epoch. */
const CLOCK_EPOCH = 1_577_836_800;

/** The catalogs of a broadcast, one after the other, until it ends. Rejects when the track cannot be had. */
export async function* catalogs(broadcast: Broadcast.Consumer): AsyncGenerator<Catalog> {
  const subscription = broadcast.track(TRACK).subscribe({ priority: PRIORITY });
  try {
    for (;;) {
      const group = await subscription.nextGroup();
      if (!group) break;
      yield* updates(group);
    }
    const error = await subscription.closed;
    if (error) throw error;
  } finally {
    subscription.close();
  }
}

/** The first frame of a group is the catalog; those after it change it (RFC 7396). */
async function* updates(
  group: NonNullable<Awaited<ReturnType<Track.Subscriber['nextGroup']>>>,
): AsyncGenerator<Catalog> {
  let document: unknown;
  try {
    for (;;) {
      const frame = await group.readFrame();
      if (!frame) return;
      const read: unknown = JSON.parse(new TextDecoder().decode(frame.payload));
      document = document === undefined ? read : merge(document, read);
      yield parseCatalog(document);
    }
  } catch (error) {
    if (error instanceof SyntaxError) throw error;
    // The group was given up for a newer one.
  } finally {
    group.close();
  }
}

/** A document, changed by a merge patch (RFC 7396). */
export function merge(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const merged: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = merge(merged[name], value);
  }
  return merged;
}

/** Reads a catalog out of parsed JSON. Renditions in other containers than CMAF are left out. */
export function parseCatalog(document: unknown): Catalog {
  const root = isRecord(document) ? document : {};
  return {
    pictures: renditions(root['video'])
      .map(({ rendition, config }) => ({
        ...rendition,
        width: number(config['codedWidth']),
        height: number(config['codedHeight']),
      }))
      .sort((a, b) => a.height - b.height || a.bitrate - b.bitrate),
    sounds: renditions(root['audio']).flatMap(({ rendition, config }) => {
      const sampleRate = number(config['sampleRate']);
      const channels = number(config['numberOfChannels']);
      return sampleRate > 0 && channels > 0 ? [{ ...rendition, sampleRate, channels }] : [];
    }),
    clock: clock(root['clock']),
  };
}

function renditions(section: unknown): { rendition: Rendition; config: Record<string, unknown> }[] {
  const all = isRecord(section) && isRecord(section['renditions']) ? section['renditions'] : {};
  return Object.entries(all).flatMap(([name, config]) => {
    if (!isRecord(config)) return [];
    const { codec, container, bitrate } = config;
    if (typeof codec !== 'string' || !isRecord(container) || container['kind'] !== 'cmaf') return [];
    const { init } = container;
    if (typeof init !== 'string') return [];
    return [{ rendition: { name, codec, init, bitrate: number(bitrate) }, config }];
  });
}

function clock(section: unknown): number | null {
  if (!isRecord(section) || typeof section['wall'] !== 'number') return null;
  const timescale = number(section['timescale']) || 1_000_000;
  return CLOCK_EPOCH + section['wall'] / timescale;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;
}
