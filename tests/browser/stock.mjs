// Plays a broadcast in Chromium with the stock player of @moq/watch for a while, and prints what it saw and heard as JSON. Arguments: the
// server's address, the broadcast, and how many seconds to watch.

import { createServer } from 'node:http';
import { build } from 'esbuild';
import { launch } from './chromium.mjs';
import { look } from './observe.mjs';

const SAMPLE_MS = 100;

const [origin, broadcast, seconds] = process.argv.slice(2);
const bundle = await build({
  stdin: { contents: "import '@moq/watch/element';", resolveDir: import.meta.dirname },
  bundle: true,
  format: 'esm',
  target: 'esnext',
  write: false,
});
const document = `<!doctype html><title>stock player</title>
<moq-watch url="${origin}" name="${broadcast}"><canvas></canvas></moq-watch>
<script type="module" src="/stock.js"></script>`;

// A site of its own, as an operator's is. Chromium lets pages of this machine alone reach its servers unasked.
const site = createServer((request, response) => {
  const isScript = request.url === '/stock.js';
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
  response.end(isScript ? bundle.outputFiles[0].text : document);
});
await new Promise((listening) => site.listen(0, '127.0.0.1', listening));

const { browser, page, close } = await launch();
try {
  const failures = [];
  page.on('pageerror', (error) => failures.push(String(error)));
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  await page.waitForFunction(() => {
    const player = window.document.querySelector('moq-watch');
    return player.video?.out.stats.peek()?.frameCount > 30 && player.audio.out.root.peek();
  });
  await page.evaluate(listen);
  const begin = await page.evaluate(state);
  let [loudest, stalls, now] = [0, 0, begin];
  let stalled = false;
  while (now.at - begin.at < seconds * 1000) {
    await page.waitForTimeout(SAMPLE_MS);
    now = await page.evaluate(state);
    loudest = Math.max(loudest, now.level);
    if (now.stalled && !stalled) stalls += 1;
    stalled = now.stalled;
  }
  const canvas = await page.locator('canvas').screenshot();
  const reader = await browser.newPage();
  const picture = await reader.evaluate(look, canvas.toString('base64'));
  console.log(JSON.stringify({ begin, end: now, loudest, stalls, picture, failures }));
} finally {
  await close();
  site.close();
}

/** Runs in the page: taps the sound. */
function listen() {
  const root = window.document.querySelector('moq-watch').audio.out.root.peek();
  window.tap = root.context.createAnalyser();
  root.connect(window.tap);
}

/** Runs in the page: what was decoded so far, whether it waits, and how loud it is, from 0 to 1. */
function state() {
  const { video, audio } = window.document.querySelector('moq-watch');
  const samples = new Float32Array(window.tap.fftSize);
  window.tap.getFloatTimeDomainData(samples);
  return {
    at: performance.now(),
    frames: video.out.stats.peek()?.frameCount ?? 0,
    videoBytes: video.out.stats.peek()?.bytesReceived ?? 0,
    audioBytes: audio.out.stats.peek()?.bytesReceived ?? 0,
    stalled: video.out.stalled.peek(),
    display: video.out.display.peek() ?? null,
    level: samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0),
  };
}
