/** What lies over the picture: messages, and how to publish when nothing is on air. */

import { el } from './dom';
import type { Message } from './message';

export class Overlay {
  #root: HTMLElement;
  #drawn = '';

  constructor(root: HTMLElement) {
    this.#root = root;
  }

  /** Shows a message, or none. */
  show(message: Message | null): void {
    const drawing = JSON.stringify(message);
    if (drawing === this.#drawn) return;
    this.#drawn = drawing;
    this.#root.hidden = message === null;
    if (!message) return this.#root.replaceChildren();
    this.#root.replaceChildren(
      ...(message.kind === 'wait' ? [spinner()] : []),
      el('h2', '', message.title),
      ...(message.body ? [el('p', '', message.body)] : []),
      ...(message.kind === 'push' ? [command()] : []),
    );
  }
}

/** The command that publishes a file to this server with the least delay. */
export function pushCommand(origin: string): string {
  return (
    'ffmpeg -re -i FILE -c:v libx264 -g 60 -c:a aac -f dash -seg_duration 2 -streaming 1 -ldash 1 ' +
    '-use_timeline 0 -frag_type every_frame -http_persistent 1 -method PUT ' +
    `${origin}/ingest/live/me/manifest.mpd`
  );
}

function spinner(): HTMLElement {
  const spinner = el('span', 'spinner');
  spinner.setAttribute('aria-hidden', 'true');
  return spinner;
}

function command(): HTMLElement {
  const code = el('code', '', pushCommand(location.origin));
  code.tabIndex = 0;
  const button = el('button', 'copy', 'Copy');
  button.type = 'button';
  button.addEventListener('click', () => void copy(code, button));
  return el('div', 'command', code, button);
}

/** The clipboard is closed to pages that came over plain HTTP from another machine: then the text is selected. */
async function copy(code: HTMLElement, button: HTMLButtonElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(code.textContent ?? '');
    button.textContent = 'Copied';
  } catch {
    getSelection()?.selectAllChildren(code);
    button.textContent = 'Selected';
  }
}
