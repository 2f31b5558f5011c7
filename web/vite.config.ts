import { defineConfig } from 'vite';

/** Where `millrace serve` or `millrace demo` listens while the page is being worked on. */
const SERVER = 'http://127.0.0.1:8080';

export default defineConfig({
  build: {
    target: 'es2022',
    // hls.js is most of the bundle and is wanted by the first thing the page does.
    chunkSizeWarningLimit: 800,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ['index.html', 'publish.html'] },
  },
  server: { proxy: { '/api': SERVER, '/hls': SERVER } },
});
