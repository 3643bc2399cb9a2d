// Tests in a real browser against the real server: `npm run browser`.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["tests/browser/**/*.test.ts", "tests/**/*.browser.test.ts"],
    globalSetup: ["tests/browser/server.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // One browser and one server: what is measured must not wait for another test.
    fileParallelism: false,
  },
});
