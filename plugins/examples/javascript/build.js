// Builds build/gop-stats.wasm and build/addresses.wasm. With `--bare` it builds gop-stats alone, as a component that imports nothing of WASI
// and has no `console` to write with.

import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const bare = process.argv.includes('--bare');

const plugins = [
  { name: 'gop-stats', source: 'src/plugin.js', world: 'transcoder-plugin' },
  { name: 'addresses', source: 'addresses/plugin.js', world: 'access-plugin' },
];

await mkdir(here('build'), { recursive: true });
for (const { name, source, world } of bare ? plugins.slice(0, 1) : plugins) {
  const { component } = await componentize({
    sourcePath: here(source),
    // Where the contract is. A plugin with a repository of its own has a copy of Millrace's wit/.
    witPath: here('../../../wit'),
    worldName: world,
    disableFeatures: bare ? ['stdio', 'random', 'clocks', 'http', 'fetch-event'] : [],
  });
  await writeFile(here(`build/${name}${bare ? '-bare' : ''}.wasm`), component);
}
