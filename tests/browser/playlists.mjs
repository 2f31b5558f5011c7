// Reads every playlist of a broadcast, from its multivariant playlist on, with a parser that insists on the rules, and prints what it
// understood as JSON.

import HLS from 'hls-parser';

HLS.setOptions({ strictMode: true });

async function read(url) {
  const answer = await fetch(url);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${text}`);
  try {
    return HLS.parse(text);
  } catch (error) {
    throw new Error(`${url}: ${error.message}\n${text}`);
  }
}

const master = await read(process.argv[2]);
const media = [];
const uris = new Set(master.variants.map(({ uri }) => uri));
for (const { audio } of master.variants) for (const { uri } of audio) if (uri) uris.add(uri);
for (const uri of uris) {
  const playlist = await read(new URL(uri, process.argv[2]));
  media.push({
    uri,
    targetDuration: playlist.targetDuration,
    partTarget: playlist.partTargetDuration,
    segments: playlist.segments.length,
    dateRanges: playlist.segments.filter(({ dateRange }) => dateRange).map(({ dateRange }) => dateRange.id),
    parts: playlist.segments.flatMap(({ parts }) => parts).filter(({ hint }) => !hint).length,
    hints: playlist.segments.flatMap(({ parts }) => parts).filter(({ hint }) => hint).length,
    holdBack: playlist.lowLatencyCompatibility?.partHoldBack,
  });
}
const variants = master.variants.map(
  ({ uri, bandwidth, averageBandwidth, codecs, resolution, frameRate, audio }) => {
    return { uri, bandwidth, averageBandwidth, codecs, ...resolution, frameRate, audio: audio.length };
  },
);
console.log(JSON.stringify({ variants, media }));
