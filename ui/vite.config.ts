// How the page is built: stable file names, so that a new build replaces the old one in version control, and no inline
// script or style, which the content security policy of the server forbids.

import license from "rollup-plugin-license";
import { defineConfig } from "vitest/config";

const server = process.env.SPANLAKE_URL ?? "http://127.0.0.1:3200";

export default defineConfig({
  // Relative, so that the page works below any prefix of a proxy.
  base: "./",
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        entryFileNames: "assets/app.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: (asset) =>
          asset.names.some((name) => name.endsWith(".css")) ? "assets/app.css" : "assets/[name][extname]",
      },
      plugins: [license({ thirdParty: { output: "dist/assets/THIRD-PARTY.txt" } })],
    },
  },
  worker: { format: "es", rolldownOptions: { output: { entryFileNames: "assets/map.js" } } },
  server: { proxy: { "/api": server, "/ready": server } },
  test: { environment: "happy-dom", include: ["src/**/*.test.ts", "src/**/*.test.tsx"] },
});
