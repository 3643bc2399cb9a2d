// Builds the viewer that a saved trace carries: one script and one style, nothing to fetch. Runs after the page's build.

import { resolve } from "node:path";
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  // A saved file has nothing beside it, so no worker to lay out a map.
  resolve: { alias: [{ find: /^\.\/TraceMap$/, replacement: resolve(import.meta.dirname, "src/trace/no-map.tsx") }] },
  build: {
    target: "es2022",
    emptyOutDir: false,
    cssCodeSplit: false,
    reportCompressedSize: false,
    rolldownOptions: {
      input: "src/trace/standalone.tsx",
      output: {
        format: "iife",
        entryFileNames: "assets/viewer.js",
        assetFileNames: "assets/viewer[extname]",
        codeSplitting: false,
      },
    },
  },
});
