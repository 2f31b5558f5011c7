// Plays a broadcast with hls.js until its upper left corner is white, and prints as JSON what hls.js knew of the broadcast's events.
// Arguments: the server's address and the broadcast.

import { createServer } from 'node:http';
import { join } from 'node:path';
import { build } from 'esbuild';
import { launch } from './chromium.mjs';

const PATIENCE_MS = 60_000;

const [origin, broadcast] = process.argv.slice(2);
const bundle = await build({
  // The version that the server's own page plays with.
  stdin: { contents: "export { default } from 'hls.js';", resolveDir: join(import.meta.dirname, '../../web') },
  bundle: true,
  format: 'iife',
  globalName: 'player',
  target: 'esnext',
  write: false,
});
const site = createServer((request, response) => {
  const isScript = request.url === '/player.js';
  response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
  response.end(
    isScript
      ? bundle.outputFiles[0].text
      : '<!doctype html><video muted autoplay></video><script src="/player.js"></script>',
  );
});
await new Promise((listening) => site.listen(0, '127.0.0.1', listening));

const { page, close } = await launch();
try {
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  await page.evaluate(watch, `${origin}/hls/${broadcast}/master.m3u8`);
  await page.waitForFunction(() => window.seen.white !== null || window.seen.fatal.length > 0, null, {
    polling: 100,
    timeout: PATIENCE_MS,
  });
  console.log(JSON.stringify(await page.evaluate(cues)));
} finally {
  await close();
  site.close();
}

/** Runs in the page: plays, and notes date ranges as they are first listed, the last frame before the white ones and the first of those. */
function watch(url) {
  const Hls = window.player.default;
  const video = window.document.querySelector('video');
  const hls = new Hls({ lowLatencyMode: true });
  window.seen = { ranges: {}, black: null, white: null, fatal: [] };
  hls.on(Hls.Events.ERROR, (_, { fatal, details }) => {
    if (fatal) window.seen.fatal.push(details);
  });
  hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
    for (const [id, range] of Object.entries(details.dateRanges)) {
      window.seen.ranges[id] ??= { at: video.currentTime, attributes: { ...range.attr } };
    }
  });
  const canvas = new OffscreenCanvas(8, 8);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const look = (_, { mediaTime }) => {
    context.drawImage(video, 0, 0, video.videoWidth / 8, video.videoHeight / 8, 0, 0, 8, 8);
    const data = context.getImageData(0, 0, 8, 8).data;
    if (Math.min(...data) > 200) {
      window.seen.white ??= mediaTime;
      return;
    }
    window.seen.black = mediaTime;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  hls.loadSource(url);
  hls.attachMedia(video);
}

/** Runs in the page: what was seen, with the cues there are. */
function cues() {
  const video = window.document.querySelector('video');
  const tracks = [...video.textTracks].filter(({ kind }) => kind === 'metadata');
  const list = tracks.flatMap((track) => [...(track.cues ?? [])]);
  const text = (data) => (data instanceof ArrayBuffer ? { bytes: [...new Uint8Array(data)] } : data);
  return {
    ...window.seen,
    cues: list.map(({ startTime, type, value }) => {
      return { start: startTime, type, key: value?.key, data: text(value?.data ?? value?.info ?? null) };
    }),
  };
}
