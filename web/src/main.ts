/**
 * The page: polls the list, decides which broadcast is shown, hands it to the player, and shows how it goes.
 */

import { fetchBroadcasts, type Broadcast } from './api';
import { pollDelay } from './backoff';
import { Controls } from './controls';
import { byId, setText } from './dom';
import { expose } from './handle';
import { rungsOf } from './levels';
import { BroadcastList } from './list';
import { messageFor } from './message';
import { Overlay } from './overlay';
import { choose, nameInHash } from './route';
import { StatsPanel } from './stats';
import { Viewer } from './viewer';
import './style.css';
import './player.css';
import './panels.css';
import './narrow.css';

const DRAW_MS = 250;

const player = new Viewer(byId('video', HTMLVideoElement));
const controls = new Controls(player);
const list = new BroadcastList(byId('list', HTMLElement));
const overlay = new Overlay(byId('overlay', HTMLElement));
const stats = new StatsPanel();
const title = byId('title', HTMLElement);
const server = byId('server', HTMLElement);
const notice = byId('notice', HTMLElement);

let broadcasts: Broadcast[] = [];
let listed = false;
let failures = 0;
let shown: string | null = null;
/** Which broadcast of that name is open: a name may be taken again by a new one. */
let opened: string | null = null;
let pollTimer: number | undefined;
let polling = false;

function current(): Broadcast | undefined {
  return broadcasts.find((broadcast) => broadcast.name === shown);
}

/** Brings the player in line with the list and the address. */
function follow(): void {
  const name = choose(nameInHash(location.hash), shown, player.phase === 'playing', broadcasts);
  if (name !== shown) {
    shown = name;
    opened = null;
    player.close();
    stats.clear();
  }
  const broadcast = current();
  if (broadcast && broadcast.state !== 'ended') {
    const identity = `${broadcast.hls} ${broadcast.startedAt ?? ''}`;
    if (identity !== opened) {
      opened = identity;
      player.open(broadcast);
    } else if (broadcast.state === 'live' && failures === 0) player.playAgain();
  }
  player.setAway(listed && failures === 0 && broadcast?.state !== 'live');
  player.setOver(listed && failures === 0 && (broadcast?.state ?? 'ended') === 'ended');
  if (broadcast?.state === 'live') player.setRungs(rungsOf(broadcast.tracks));
  list.show(broadcasts, shown);
  draw();
}

function draw(): void {
  const broadcast = current();
  const { phase } = player;
  const active = phase !== 'idle';
  const measurement = player.measure();
  controls.show(measurement, active, broadcast?.tracks ?? []);
  stats.show(measurement, phase === 'playing' || phase === 'stalled', performance.now() / 1000);
  overlay.show(
    messageFor({
      name: shown,
      broadcast,
      listed,
      reachable: failures === 0,
      phase,
      failure: player.failure?.details ?? null,
    }),
  );
  setText(notice, player.whyNotMoq === null ? '' : `Played over LL-HLS: ${player.whyNotMoq}.`);
  setText(title, shown ?? 'No broadcast');
  document.title = shown ? `${shown} – Millrace` : 'Millrace';
  setText(server, failures > 0 ? 'The server cannot be reached. Trying again.' : '');
}

async function poll(): Promise<void> {
  if (polling) return;
  polling = true;
  window.clearTimeout(pollTimer);
  try {
    broadcasts = await fetchBroadcasts();
    listed = true;
    failures = 0;
  } catch (error) {
    failures += 1;
    console.warn('The list of broadcasts could not be read:', error);
  }
  polling = false;
  pollTimer = window.setTimeout(() => void poll(), pollDelay(document.hidden, failures));
  follow();
}

expose(player, () => shown);
window.addEventListener('hashchange', follow);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void poll();
});
window.setInterval(draw, DRAW_MS);
void poll();
