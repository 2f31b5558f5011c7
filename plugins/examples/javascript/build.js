// Builds build/gop-stats.wasm. With `--bare` the component imports nothing of WASI, and has no `console` to write with.

import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const bare = process.argv.includes('--bare');

const { component } = await componentize({
  sourcePath: here('src/plugin.js'),
  // Where the contract is. A plugin with a repository of its own has a copy of Millrace's wit/.
  witPath: here('../../../wit'),
  worldName: 'transcoder-plugin',
  disableFeatures: bare ? ['stdio', 'random', 'clocks', 'http', 'fetch-event'] : [],
});

await mkdir(here('build'), { recursive: true });
await writeFile(here(bare ? 'build/gop-stats-bare.wasm' : 'build/gop-stats.wasm'), component);
