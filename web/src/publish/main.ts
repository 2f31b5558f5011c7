/** The publish page: sends the camera and the microphone, and shows how it goes. */

import { byId, el, setText } from '../dom';
import { bitrate } from '../format';
import { hashFor } from '../route';
import '../style.css';
import '../player.css';
import '../panels.css';
import '../narrow.css';
import './publish.css';
import { Form } from './form';
import { Meter } from './meter';
import type { Publication, State } from './publication';
import { constraintsFor, type Settings } from './settings';
import { lacking, Trouble, troubleWithDevices } from './trouble';

const DRAW_MS = 250;

const STATES: Record<State, string> = {
  connecting: 'Connecting…',
  live: 'On air',
  retrying: 'The connection was lost. Trying again.',
  stopped: 'Stopped',
};
const ROWS = [
  'Protocol',
  'Picture',
  'Sound',
  'Pictures sent',
  'Pictures left out',
  'Frames of sound sent',
  'Sent',
] as const;

const preview = byId('preview', HTMLVideoElement);
const status = byId('status', HTMLElement);
const problem = byId('problem', HTMLElement);
const fps = byId('fps', HTMLElement);
const rate = byId('rate', HTMLElement);
const values = new Map(ROWS.map((row) => [row, el('dd', '', '–')]));
byId('figures', HTMLElement).append(
  ...[...values].map(([row, value]) => el('div', '', el('dt', '', row), value)),
);

const form = new Form((settings) => void toggle(settings));
const pictureMeter = new Meter();
const byteMeter = new Meter();
let stream: MediaStream | null = null;
let publication: Publication | null = null;
let name = '';

async function toggle(settings: Settings): Promise<void> {
  if (stream) return stop();
  show(null);
  form.show('starting');
  name = settings.name;
  setText(status, STATES.connecting);
  try {
    stream = await openDevices(settings);
    preview.srcObject = stream;
    const { Publication } = await import('./publication');
    publication = await Publication.start(stream, settings, fail);
    form.show('running');
  } catch (error) {
    fail(error);
  }
}

async function openDevices(settings: Settings): Promise<MediaStream> {
  if (settings.camera === 'none' && settings.microphone === 'none')
    throw new Trouble('There is nothing to send: choose a camera or a microphone.');
  try {
    const opened = await navigator.mediaDevices.getUserMedia(constraintsFor(settings));
    void form.listDevices();
    return opened;
  } catch (error) {
    throw troubleWithDevices(error);
  }
}

function stop(): void {
  publication?.stop();
  publication = null;
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  preview.srcObject = null;
  pictureMeter.restart();
  byteMeter.restart();
  setText(status, STATES.stopped);
  form.show('idle');
  draw();
}

function fail(error: unknown): void {
  stop();
  show(error instanceof Error ? error.message : String(error));
}

/** Shows what went wrong, or nothing. */
function show(trouble: string | null): void {
  problem.hidden = trouble === null;
  setText(problem, trouble ?? '');
}

function draw(): void {
  const now = performance.now() / 1000;
  const pictures = publication?.pictures ?? null;
  const sound = publication?.sound ?? null;
  const pictureRate = publication && pictures ? pictureMeter.rate(now, pictures.encoded) : null;
  const byteRate = publication ? byteMeter.rate(now, publication.bytes) : null;
  setText(fps, pictureRate === null ? '–' : pictureRate.toFixed(0));
  setText(rate, bitrate(byteRate === null ? null : byteRate * 8));
  const figures: Record<(typeof ROWS)[number], string> = {
    Protocol: publication?.protocol || '–',
    Picture: pictures ? `H.264, ${pictures.config.width}×${pictures.config.height}` : '–',
    Sound: sound ? `Opus, ${sound.config.numberOfChannels === 1 ? 'mono' : 'stereo'}` : '–',
    'Pictures sent': pictures ? String(pictures.encoded) : '–',
    'Pictures left out': pictures ? String(pictures.dropped) : '–',
    'Frames of sound sent': sound ? String(sound.encoded) : '–',
    Sent: publication ? `${(publication.bytes / 1e6).toFixed(1)} MB` : '–',
  };
  for (const [row, element] of values) setText(element, figures[row]);
  if (publication) showState(publication.state);
  document.title = publication ? `${name} – Millrace` : 'Publish – Millrace';
}

function showState(state: State): void {
  if (state !== 'live') return setText(status, STATES[state]);
  if (status.querySelector('a')) return;
  const link = el('a', '', name);
  link.href = `/${hashFor(name)}`;
  status.replaceChildren(`${STATES.live}: `, link);
}

/** What browser tests, and the curious, can look at. */
const handle = Object.freeze({
  stats: () => ({
    state: publication?.state ?? (stream ? 'connecting' : 'idle'),
    problem: problem.hidden ? null : problem.textContent,
    protocol: publication?.protocol ?? '',
    bytes: publication?.bytes ?? 0,
    pictures: publication?.pictures?.encoded ?? 0,
    dropped: publication?.pictures?.dropped ?? 0,
    soundFrames: publication?.sound?.encoded ?? 0,
  }),
});
Object.defineProperty(window, 'millracePublish', { value: handle });

const lack = lacking((feature) => feature in window, window.isSecureContext);
if (lack) {
  show(lack);
  form.show('starting');
  setText(status, 'This browser cannot publish.');
} else {
  form.show('idle');
  void form.listDevices();
}
window.addEventListener('pagehide', stop);
window.setInterval(draw, DRAW_MS);
