/** Which broadcast the page is about: the one named after `#` in the address, or else the first live one. */

import type { Broadcast } from './api';

/** The broadcast a fragment such as `#live/demo` names; `null` for none. */
export function nameInHash(hash: string): string | null {
  const raw = hash.replace(/^#\/?/, '');
  if (raw === '') return null;
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw; // A stray "%" is part of the name.
  }
}

/** The address that opens a broadcast: slashes stay readable, everything else is escaped. */
export function hashFor(name: string): string {
  return `#${name.split('/').map(encodeURIComponent).join('/')}`;
}

/**
 * The name to show. A viewer's choice stands, on air or not. Without one, what was shown stays until it has
 * left the list and `playing` is over: then the page moves on to whatever is live.
 */
export function choose(
  wanted: string | null,
  shown: string | null,
  playing: boolean,
  broadcasts: Broadcast[],
): string | null {
  if (wanted !== null) return wanted;
  if (shown !== null && (playing || broadcasts.some(({ name }) => name === shown))) return shown;
  const live = broadcasts.find(({ state }) => state === 'live');
  const waiting = broadcasts.find(({ state }) => state === 'waiting');
  return live?.name ?? shown ?? waiting?.name ?? null;
}
