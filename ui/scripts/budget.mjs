// Fails when the built page is larger than it may be: sizes as they are sent, compressed with gzip.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const KB = 1000;
/** What a first visit loads. */
const FIRST = ["index.html", "assets/app.js", "assets/app.css", "assets/icon.svg"];
const BUDGETS = { first: 120 * KB, "assets/editor.js": 125 * KB, "assets/map.js": 25 * KB, all: 300 * KB };

const sizes = new Map();
for (const name of readdirSync("dist", { recursive: true, withFileTypes: true })) {
  if (!name.isFile()) continue;
  const path = `${name.parentPath}/${name.name}`;
  sizes.set(path.replace(/^dist\//, ""), gzipSync(readFileSync(path), { level: 9 }).length);
}
const of = (names) => names.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
// Licences are read by people, not loaded by the page.
const all = [...sizes.keys()].filter((name) => !name.endsWith("THIRD-PARTY.txt"));
const found = {
  first: of(FIRST),
  "assets/editor.js": of(["assets/editor.js"]),
  "assets/map.js": of(["assets/map.js"]),
  all: of(all),
};
let failed = false;
for (const [name, budget] of Object.entries(BUDGETS)) {
  const over = found[name] > budget;
  failed ||= over;
  console.log(`${over ? "OVER" : "ok"}  ${name}: ${(found[name] / KB).toFixed(1)} kB of ${budget / KB} kB`);
}
process.exit(failed ? 1 : 0);
