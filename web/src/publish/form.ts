/** The form: what to send. */

import { byId, el, setText } from '../dom';
import { problemWithName } from './name';
import type { Settings } from './settings';

/** What is kept from one visit to the next. Not the token. */
const KEPT = ['name', 'height', 'framerate', 'bitrate'] as const;
const KEY = 'millrace.publish';

export class Form {
  #form = byId('form', HTMLFormElement);
  #name = byId('name', HTMLInputElement);
  #problem = byId('name-problem', HTMLElement);
  #start = byId('start', HTMLButtonElement);

  /** `toggle` starts with the settings given, or stops. */
  constructor(toggle: (settings: Settings) => void) {
    this.#recall();
    this.#name.addEventListener('input', () => this.#checkName());
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (!this.#checkName()) return this.#name.focus();
      this.#remember();
      toggle(this.settings());
    });
  }

  settings(): Settings {
    const value = (name: string): string => {
      const control = this.#form.elements.namedItem(name);
      return control instanceof HTMLInputElement || control instanceof HTMLSelectElement ? control.value : '';
    };
    return {
      name: value('name').trim(),
      camera: value('camera'),
      microphone: value('microphone'),
      height: Number(value('height')),
      framerate: Number(value('framerate')),
      bitrate: Math.min(Math.max(Number(value('bitrate')) || 2500, 100), 20_000) * 1000,
      token: value('token').trim(),
    };
  }

  /** What the button does, and whether the rest can be changed. */
  show(state: 'idle' | 'starting' | 'running'): void {
    setText(this.#start, { idle: 'Start', starting: 'Starting…', running: 'Stop' }[state]);
    this.#start.disabled = state === 'starting';
    this.#start.classList.toggle('stop', state === 'running');
    for (const control of this.#form.elements)
      if (
        control !== this.#start &&
        (control instanceof HTMLInputElement || control instanceof HTMLSelectElement)
      )
        control.disabled = state !== 'idle';
  }

  /** Lists the devices there are. Their names are known only once they may be used. */
  async listDevices(): Promise<void> {
    const devices = await navigator.mediaDevices.enumerateDevices();
    for (const [id, kind] of [
      ['camera', 'videoinput'],
      ['microphone', 'audioinput'],
    ] as const) {
      const select = byId(id, HTMLSelectElement);
      const chosen = select.value;
      const known = devices.filter((device) => device.kind === kind && device.deviceId !== '');
      const fixed = [...select.options].slice(0, 2);
      select.replaceChildren(
        ...fixed,
        ...known.map(({ deviceId, label }, index) => {
          const option = el('option', '', label || `${id} ${index + 1}`);
          option.value = deviceId;
          return option;
        }),
      );
      select.value = [...select.options].some(({ value }) => value === chosen) ? chosen : '';
    }
  }

  #checkName(): boolean {
    const problem = problemWithName(this.#name.value.trim());
    setText(this.#problem, problem ?? '');
    this.#name.setAttribute('aria-invalid', String(problem !== null));
    return problem === null;
  }

  #remember(): void {
    const data = new FormData(this.#form);
    try {
      localStorage.setItem(KEY, JSON.stringify(KEPT.map((name) => [name, data.get(name)])));
    } catch {
      // Storage is closed to this page.
    }
  }

  #recall(): void {
    this.#name.value = 'live/me';
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? '[]') as [string, string][];
      for (const [name, value] of kept) {
        const control = this.#form.elements.namedItem(name);
        if (control instanceof HTMLSelectElement || control instanceof HTMLInputElement)
          control.value = value;
      }
    } catch {
      // Nothing, or something else, was kept.
    }
  }
}
