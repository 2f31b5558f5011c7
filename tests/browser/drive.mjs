// Drives Chromium for the tests: reads a command a line, as JSON, from its standard input, and answers each with a line of JSON,
// `{"ok": …}` or `{"error": …}`. The browser lives as long as the input does.

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { launch } from './chromium.mjs';
import { clock, look, observe } from './observe.mjs';
import { publishing } from './publish.mjs';

const SAMPLE_MS = 100;

const { browser, page, close } = await launch(
  // A camera and a microphone, without anybody to ask: a moving picture and a beep a second.
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
);

const failures = [];
let loads = 0;
let network = null;
page.on('pageerror', (error) => failures.push(String(error)));
page.on('framenavigated', (frame) => {
  if (frame === page.mainFrame()) loads += 1;
});

const commands = {
  ...publishing(page),

  /** Opens a page, which plays over this protocol until another is chosen: `moq`, where it can be had, or `hls`. */
  async open({ url, protocol = 'hls' }) {
    await page.addInitScript((preferred) => {
      if (!localStorage.getItem('millrace.protocol')) localStorage.setItem('millrace.protocol', preferred);
    }, protocol);
    await page.goto(url);
    return null;
  },

  /** Waits until the player is in a phase, such as `playing`, and gives what it measures then. */
  async phase({ name }) {
    await page.waitForFunction((wanted) => window.millrace?.stats().phase === wanted, name, { polling: 50 });
    return commands.state();
  },

  /** Chooses what to play over, `moq` or `hls`, with sound, and waits until it plays over that. */
  async protocol({ name }) {
    await page.evaluate((wanted) => {
      window.millrace.setProtocol(wanted);
      window.millrace.video.muted = false;
    }, name);
    await page.waitForFunction(
      (wanted) => {
        const { phase, protocol } = window.millrace.stats();
        return phase === 'playing' && protocol.startsWith(wanted);
      },
      { moq: 'MoQ', hls: 'LL-HLS' }[name],
      { polling: 50 },
    );
    return commands.state();
  },

  /** Waits until the page says something across the picture. */
  async says({ text }) {
    await page.locator('#overlay', { hasText: text }).waitFor();
    return commands.state();
  },

  /** Waits until a playing picture is so high. */
  async height({ pixels }) {
    await page.waitForFunction((wanted) => window.millrace.video.videoHeight === wanted, pixels, {
      polling: 50,
    });
    return commands.state();
  },

  /** Chooses the quality of this height. */
  async level({ pixels }) {
    await page.evaluate((wanted) => {
      const level = window.millrace.stats().levels.find(({ height }) => height === wanted);
      if (!level) throw new Error(`no level of ${wanted}: ${JSON.stringify(window.millrace.stats().levels)}`);
      window.millrace.setLevel(level.index);
    }, pixels);
    return commands.height({ pixels });
  },

  /** Leaves the quality to the player. */
  async automatic() {
    await page.evaluate(() => window.millrace.setLevel(-1));
    return null;
  },

  /** Lets through so many bits per second to the page, or, with null, as many as come. */
  async throttle({ bitrate }) {
    network ??= await browser.newCDPSession(page);
    await network.send('Network.enable');
    const throughput = bitrate === null ? -1 : bitrate / 8;
    await network.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: 0,
      downloadThroughput: throughput,
      uploadThroughput: -1,
    });
    return null;
  },

  /** Waits until the player offers a quality of this height, or no longer does. */
  async offers({ pixels, offered }) {
    await page.waitForFunction(
      ([wanted, there]) => window.millrace?.stats().levels.some(({ height }) => height === wanted) === there,
      [pixels, offered],
      { polling: 100 },
    );
    return commands.state();
  },

  /** What the player measures now, what the element has decoded, and how the page has fared. */
  async state() {
    return { ...(await page.evaluate(observe)), loads, failures };
  },

  /** Watches for a while: the state at the beginning and at the end, the latencies between, and how loud it was at most. */
  async watch({ seconds }) {
    const begin = await commands.state();
    const latencies = [];
    let loudest = null;
    let now = begin;
    while (now.at - begin.at < seconds * 1000) {
      await page.waitForTimeout(SAMPLE_MS);
      now = await commands.state();
      if (now.latency !== null) latencies.push(now.latency);
      if (now.soundLevel !== null) loudest = Math.max(loudest ?? 0, now.soundLevel);
    }
    return { begin, end: now, latencies, loudest };
  },

  /** Reads the clock that is painted into the picture, so many times: the latencies from paint to screen, in milliseconds. */
  async clock({ times }) {
    return page.evaluate(clock, times);
  },

  /** Keeps a picture of the page, and says what is on the video: mean and standard deviation of its brightness, 0 to 255. */
  async screenshot({ path }) {
    await page.screenshot({ path });
    const video = await page.locator('video').screenshot();
    const reader = await browser.newPage();
    const seen = await reader.evaluate(look, video.toString('base64'));
    await reader.close();
    return seen;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    const run = commands[command.do];
    if (!run) throw new Error(`there is no command ${command.do}`);
    answer = { ok: await run(command) };
  } catch (error) {
    const state = await commands.state().catch(() => null);
    answer = { error: `${error.message ?? error}`, state };
    // For whoever looks into it.
    await page
      .screenshot({ path: command.exhibit ?? join(tmpdir(), 'millrace-failed.png') })
      .catch(() => null);
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await close();
