/** The list of broadcasts: state, tracks, who made each, and what the server has to say about them. */

import type { Broadcast, Track } from './api';
import { el } from './dom';
import { bitrate, codecName, size } from './format';
import { hashFor } from './route';

const STATES = { live: 'Live', waiting: 'Waiting', ended: 'Ended' } as const;

export class BroadcastList {
  #root: HTMLElement;
  #drawn = '';

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** Draws the list if anything in it changed. Keyboard focus stays on the broadcast it was on. */
  show(broadcasts: Broadcast[], current: string | null): void {
    const drawing = JSON.stringify([broadcasts, current]);
    if (drawing === this.#drawn) return;
    this.#drawn = drawing;
    const focused = this.#root.contains(document.activeElement)
      ? document.activeElement?.getAttribute('href')
      : null;
    this.#root.replaceChildren(
      broadcasts.length > 0
        ? el('ul', 'broadcasts', ...broadcasts.map((b) => item(b, b.name === current)))
        : el('p', 'quiet', 'No broadcasts.'),
    );
    if (focused) this.#root.querySelector<HTMLElement>(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }
}

function item(broadcast: Broadcast, current: boolean): HTMLElement {
  const link = el('a', 'broadcast', el('span', 'name', broadcast.name), badge(broadcast));
  link.href = hashFor(broadcast.name);
  if (current) link.setAttribute('aria-current', 'true');
  return el(
    'li',
    current ? 'current' : '',
    link,
    ...(broadcast.tracks.length > 0 ? [el('ul', 'tracks', ...broadcast.tracks.map(trackLine))] : []),
    ...broadcast.notes.map((note) => el('p', 'note', note)),
  );
}

function badge({ state, lowLatency }: Broadcast): HTMLElement {
  const badges = el('span', 'badges', el('span', `badge ${state}`, STATES[state]));
  if (lowLatency && state === 'live') badges.prepend(el('span', 'badge low', 'Low latency'));
  return badges;
}

function trackLine(track: Track): HTMLElement {
  const facts = [
    codecName(track.codec),
    size(track.width, track.height),
    track.bitrate === null ? '' : bitrate(track.bitrate),
  ].filter(Boolean);
  const maker = track.madeBy
    ? el('span', 'maker plugin', `by ${track.madeBy}`)
    : el('span', 'maker', 'source');
  maker.title = track.madeBy ? `Made by the plugin ${track.madeBy}` : 'As published';
  return el(
    'li',
    '',
    el('span', 'track', track.rendition ?? track.name),
    el('span', 'facts', facts.join(' · ')),
    maker,
  );
}
