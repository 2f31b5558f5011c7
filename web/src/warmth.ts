/**
 * Whether a level has media to play on with.
 *
 * The server may let a rung rest while nobody plays it. Asking for its playlist wakes it, at its next group; until then what is missing
 * is listed as absent. hls.js loads nothing while it waits for a level, so that a level is woken first and gone to once it is there.
 */

/** Where a player is: the newest segment and part it knows of. */
export interface Edge {
  segment: number;
  /** -1 where there are no parts. */
  part: number;
}

/** A level found warm stays so for a while, in milliseconds: the least the server may be told to wait for viewers. */
const STAYS_WARM = 4000;
/** Before a cold one is asked again. */
const ASK_AGAIN = 250;
/** Before one is that cannot be loaded at all. */
const ASK_REFUSED_AGAIN = 3000;

/** True where the newest media of a playlist is there, and reaches the segment. */
export function reaches(playlist: string, segment: number): boolean {
  let number = NaN;
  let newest = NaN;
  let gap = false;
  let absent = true;
  for (const line of playlist.split('\n')) {
    if (line.startsWith('#EXT-X-MEDIA-SEQUENCE:')) number = Number(line.slice(22));
    else if (line.startsWith('#EXT-X-GAP')) gap = true;
    else if (line.startsWith('#EXT-X-PART:')) {
      newest = number;
      absent = /[:,]GAP=YES/.test(line);
    } else if (line !== '' && !line.startsWith('#')) {
      newest = number;
      absent = gap;
      gap = false;
      number += 1;
    }
  }
  return !absent && newest >= segment;
}

/** The address at which a playlist is answered once it has come as far as the edge, or is known not to. */
export function addressAt(uri: string, edge: Edge): string {
  const address = new URL(uri);
  address.searchParams.set('_HLS_msn', String(edge.segment));
  if (edge.part >= 0) address.searchParams.set('_HLS_part', String(edge.part));
  return address.href;
}

/** What is known of levels, by the addresses of their playlists. `load` gives a playlist's text; times in milliseconds. */
export class Warmth {
  #warmUntil = new Map<string, number>();
  #askAt = new Map<string, number>();
  #load: (address: string) => Promise<string>;
  #now: () => number;

  constructor(load: (address: string) => Promise<string>, now: () => number) {
    this.#load = load;
    this.#now = now;
  }

  /** Whether a level can be gone to. Where that is not known it is asked, and woken by that. */
  isWarm(uri: string, edge: Edge): boolean {
    const now = this.#now();
    if ((this.#warmUntil.get(uri) ?? 0) > now) return true;
    if ((this.#askAt.get(uri) ?? 0) <= now) void this.#ask(uri, edge);
    return false;
  }

  async #ask(uri: string, edge: Edge): Promise<void> {
    this.#askAt.set(uri, Infinity);
    let again = ASK_REFUSED_AGAIN;
    try {
      const playlist = await this.#load(addressAt(uri, edge));
      if (reaches(playlist, edge.segment)) this.#warmUntil.set(uri, this.#now() + STAYS_WARM);
      again = ASK_AGAIN;
    } catch {
      // Refused, or out of reach: hls.js would fare no better.
    }
    this.#askAt.set(uri, this.#now() + again);
  }
}
