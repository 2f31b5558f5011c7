// Publishes from pages in Chromium: of another port of this machine, of a name that is pointed here, and of the server's own. Prints what
// each was answered as JSON. Arguments: the server's address, and a file with a stream.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { launch } from "./chromium.mjs";

const [origin, file] = process.argv.slice(2);
const bytes = readFileSync(file).toString("base64");
const { port } = new URL(origin);

/** Sends the stream without asking first, as any page may. */
async function send([url, mode, base64]) {
  const body = new Blob([
    Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)),
  ]);
  const answer = await fetch(url, { method: "POST", mode, body });
  return answer.type === "opaque" ? "opaque" : answer.status;
}

const site = createServer((_, response) => {
  response.setHeader("content-type", "text/html");
  response.end("<!doctype html><title>another origin</title>");
});
await new Promise((listening) => site.listen(0, "127.0.0.1", listening));

// A name of somebody else, pointed here: what DNS rebinding comes to.
const { page, close } = await launch(
  "--host-resolver-rules=MAP rebound.example 127.0.0.1",
);
try {
  const from = async (address, mode, target, name) => {
    await page.goto(address);
    return page.evaluate(send, [
      `${target}/ingest/page/${name}/stream.mp4`,
      mode,
      bytes,
    ]);
  };
  const rebound = `http://rebound.example:${port}`;
  const seen = {
    foreign: await from(
      `http://127.0.0.1:${site.address().port}/`,
      "no-cors",
      origin,
      "foreign",
    ),
    rebound: await from(`${rebound}/healthz`, "cors", rebound, "rebound"),
    own: await from(`${origin}/healthz`, "cors", origin, "own"),
  };
  process.stdout.write(JSON.stringify(seen));
} finally {
  await close();
  site.close();
}
