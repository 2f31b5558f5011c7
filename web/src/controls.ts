/** The control bar: play, sound, the live edge, quality, full screen; and their keys. */

import type { Track } from './api';
import { byId, el, setText } from './dom';
import type { Measurement } from './measure';
import { options } from './quality';
import type { Viewer } from './viewer';

export class Controls {
  #player: Viewer;
  #stage = byId('stage', HTMLElement);
  #play = byId('play', HTMLButtonElement);
  #mute = byId('mute', HTMLButtonElement);
  #volume = byId('volume', HTMLInputElement);
  #live = byId('go-live', HTMLButtonElement);
  #quality = byId('quality', HTMLSelectElement);
  #protocol = byId('protocol', HTMLSelectElement);
  #sound = byId('sound', HTMLButtonElement);
  #fullscreen = byId('fullscreen', HTMLButtonElement);
  #drawn = '';

  constructor(player: Viewer) {
    this.#player = player;
    const { video } = player;
    this.#play.addEventListener('click', () => player.togglePlay());
    video.addEventListener('click', () => player.togglePlay());
    this.#mute.addEventListener('click', () => this.#toggleSound());
    this.#sound.addEventListener('click', () => this.#toggleSound());
    this.#volume.addEventListener('input', () => {
      video.volume = this.#volume.valueAsNumber;
      video.muted = video.volume === 0;
    });
    this.#live.addEventListener('click', () => player.goLive());
    this.#quality.addEventListener('change', () => player.setLevel(Number(this.#quality.value)));
    this.#protocol.addEventListener('change', () =>
      player.setProtocol(this.#protocol.value === 'moq' ? 'moq' : 'hls'),
    );
    this.#fullscreen.addEventListener('click', () => this.#toggleFullscreen());
    document.addEventListener('keydown', (event) => this.#key(event));
    for (const event of ['play', 'pause', 'volumechange'])
      video.addEventListener(event, () => this.#showButtons());
    document.addEventListener('fullscreenchange', () => this.#showButtons());
    this.#showButtons();
  }

  /** Shows what changes while playing. `active` says that there is something to control. */
  show(m: Measurement, active: boolean, tracks: Track[]): void {
    const { video } = this.#player;
    this.#stage.classList.toggle('active', active);
    for (const control of [this.#play, this.#live, this.#fullscreen]) control.disabled = !active;
    const playing = this.#player.phase === 'playing' && !video.paused;
    const silent = tracks.length > 0 && !tracks.some(({ kind }) => kind === 'audio');
    this.#sound.hidden = !(playing && video.muted && !silent);

    const atLive = this.#player.atLive && !video.paused;
    this.#live.classList.toggle('on', playing && atLive);
    setText(this.#live, atLive ? 'Live' : 'Go live');
    this.#live.title = atLive ? 'Following the live edge' : 'Return to the live edge (L)';

    const entries = options(m.levels, m.level, this.#player.wantedLevel, tracks);
    this.#quality.disabled = !active || m.levels.length === 0;
    // Redrawing an open menu would close it.
    const drawing = JSON.stringify(entries);
    if (drawing !== this.#drawn && document.activeElement !== this.#quality) this.#drawQuality(entries);
    else if (drawing !== this.#drawn) this.#retext(entries);
    this.#drawn = drawing;
    const wanted = String(this.#player.wantedLevel);
    if (this.#quality.value !== wanted) this.#quality.value = wanted;

    const { mayUseMoq, protocol } = this.#player;
    this.#protocol.disabled = !mayUseMoq;
    this.#protocol.title = mayUseMoq ? 'What to play over' : (this.#player.whyNotMoq ?? 'MoQ is not offered');
    if (this.#protocol.value !== protocol) this.#protocol.value = protocol;
  }

  #drawQuality(entries: { value: number; text: string }[]): void {
    this.#quality.replaceChildren(
      ...entries.map(({ value, text }) => {
        const option = el('option', '', text);
        option.value = String(value);
        return option;
      }),
    );
  }

  #retext(entries: { value: number; text: string }[]): void {
    if (this.#quality.options.length !== entries.length) return this.#drawQuality(entries);
    entries.forEach(({ text }, i) => {
      const option = this.#quality.options[i];
      if (option) setText(option, text);
    });
  }

  #showButtons(): void {
    const { video } = this.#player;
    label(this.#play, video.paused ? 'Play' : 'Pause', video.paused ? 'play' : 'pause', 'K');
    const silent = video.muted || video.volume === 0;
    label(this.#mute, silent ? 'Sound on' : 'Mute', silent ? 'muted' : 'sound', 'M');
    this.#volume.valueAsNumber = silent ? 0 : video.volume;
    const full = document.fullscreenElement !== null;
    label(this.#fullscreen, full ? 'Leave full screen' : 'Full screen', full ? 'shrink' : 'grow', 'F');
  }

  #toggleSound(): void {
    const { video } = this.#player;
    video.muted = !video.muted;
    if (!video.muted && video.volume === 0) video.volume = 1;
  }

  #toggleFullscreen(): void {
    const change = document.fullscreenElement ? document.exitFullscreen() : this.#stage.requestFullscreen();
    void change.catch(() => undefined); // Refused by the browser or the frame the page is in: nothing to mend.
  }

  #key(event: KeyboardEvent): void {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target instanceof HTMLSelectElement || target instanceof HTMLInputElement) return;
    const actions: Record<string, () => void> = {
      k: () => this.#player.togglePlay(),
      m: () => this.#toggleSound(),
      f: () => this.#toggleFullscreen(),
      l: () => this.#player.goLive(),
    };
    actions[event.key.toLowerCase()]?.();
  }
}

function label(button: HTMLButtonElement, text: string, icon: string, key: string): void {
  button.setAttribute('aria-label', text);
  button.title = `${text} (${key})`;
  button.dataset['icon'] = icon;
}
