// Reads objects of a track in Chromium with @moqt/webtransport, and prints them as JSON: their groups, numbers, sizes, and the name of the
// box that each begins with. Arguments: the server's address, the broadcast, the track, and how many groups to read.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch } from './chromium.mjs';

const PATIENCE_MS = 30_000;

const [origin, broadcast, track, groups] = process.argv.slice(2);
const library = join(import.meta.dirname, '../node_modules/@moqt/webtransport/dist/browser/index.global.js');

const { page, close } = await launch();
try {
  // Any page of the server's: what is asked for is its hash, and a secure context.
  await page.goto(`${origin}/certificate.sha256`);
  await page.evaluate(`${readFileSync(library, 'utf8')}\nwindow.MoqtWebTransport = MoqtWebTransport;`);
  const read = page.evaluate(objects, { origin, broadcast, track, groups: Number(groups) });
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error('there were too few groups in time')), PATIENCE_MS).unref();
  });
  console.log(JSON.stringify(await Promise.race([read, late])));
} finally {
  await close();
}

/** Runs in the page. Objects of so many groups, behind the one in which it joined. */
async function objects({ origin, broadcast, track, groups }) {
  const hex = (await (await fetch(`${origin}/certificate.sha256`)).text()).trim();
  const hash = Uint8Array.from(hex.match(/../g), (byte) => Number.parseInt(byte, 16));
  const session = new WebTransport(origin.replace('http:', 'https:'), {
    protocols: ['moqt-18'],
    serverCertificateHashes: [{ algorithm: 'sha-256', value: hash }],
  });
  await session.ready;
  const connection = new window.MoqtWebTransport.MoqtConnection(18);
  await connection.connect(session);
  const encoder = new TextEncoder();
  const namespace = broadcast.split('/').map((part) => encoder.encode(part));
  const received = [];
  const done = new Promise((resolve, reject) => {
    connection.onClose = (error, reason) => reject(new Error(`the session was closed: ${error} ${reason}`));
    connection.onError = reject;
    connection
      .subscribeTrack(namespace, encoder.encode(track), {
        onObject({ kind, groupId, objectId, payload }) {
          if (kind !== 'data') return;
          const box = new TextDecoder().decode(payload.subarray(4, 8));
          received.push({ group: Number(groupId), object: Number(objectId), size: payload.length, box });
          const seen = new Set(received.map(({ group }) => group));
          if (seen.size > groups + 1) resolve();
        },
      })
      .catch(reject);
  });
  await done;
  return { protocol: session.protocol, objects: received };
}
