// Five pages in two themes, held against pictures that were looked at. `SPANLAKE_WRITE_PICTURES=1 npm run browser --
// pictures` writes them anew. What the time of the machine decides is taken off the page; the rest must be as it was.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import pixelmatch from "pixelmatch";
import type { Page } from "playwright-core";
import { PNG } from "pngjs";
import { expect, test } from "vitest";
import { hour, STEADY_FLAGS, tracesOf, useBrowser, visit } from "./browser";
import { indexedPng } from "./indexed-png";

useBrowser(STEADY_FLAGS);

const GOLDEN = resolve(import.meta.dirname, "pictures");
/** Where a failed comparison leaves what it saw. */
const SEEN = resolve(process.env.SPANLAKE_PICTURES_DIR ?? "/tmp/spanlake-pictures");
/** Share of the pixels that may differ, and from which distance of colours on a pixel counts as different. */
const MOST_DIFFERENT = 0.001;
const DISTANCE = 0.1;

interface Shown {
  name: string;
  path: () => Promise<string> | string;
  /** Brings the page to what is compared. */
  ready: (page: Page) => Promise<void>;
}

const PAGES: Shown[] = [
  {
    name: "search",
    // Fewer traces than the limit: which of more come first is the server's affair.
    path: () => `/${hour({ q: '{ resource.service.name = "pay" && status = error }', cols: "span.http.route" })}`,
    ready: async (page) => {
      await page.locator(".results tbody tr").first().waitFor();
      await page.locator(".results header").filter({ hasNotText: "so far" }).waitFor();
      await page.getByRole("figure").filter({ hasText: "Duration" }).waitFor();
      await page.waitForFunction(() =>
        [...document.querySelectorAll(".results tbody tr")]
          .filter((row) => row.getBoundingClientRect().top < window.innerHeight)
          .every((row) => row.querySelector(".noted")?.textContent !== ""),
      );
    },
  },
  {
    name: "trace",
    path: async () => `/trace/${await retriedTrace()}`,
    ready: async (page) => {
      await page.locator('[role="row"]').first().waitFor();
      await page.locator(".tab-count").first().waitFor();
      await page.keyboard.press("e");
      await page.locator(".attribute").first().waitFor();
      await page.locator(".standing").waitFor();
    },
  },
  {
    name: "explore",
    path: () => `/explore${hour({ q: '{ resource.service.name = "pay" && kind = server }' })}`,
    ready: async (page) => {
      await page.getByRole("button", { name: /Slowest/ }).click();
      await page.locator(".differences tbody tr").first().waitFor();
      await page.getByRole("heading", { name: "Traces to look at" }).waitFor();
    },
  },
  {
    name: "services",
    path: () => `/services${hour()}`,
    ready: (page) => page.locator(".red tbody tr").first().waitFor(),
  },
  {
    name: "map",
    path: () => `/map${hour()}`,
    ready: (page) => page.locator(".map-picture .node").first().waitFor(),
  },
];

/** Always the same of the traces in which the bank was asked again. */
async function retriedTrace(): Promise<string> {
  const retried = '{ resource.service.name = "pay" && span.http.request.resend_count > 1 }';
  const [first = ""] = (await tracesOf(retried, 5_000)).sort();
  return first;
}

/** Findings that compare with what was usual. */
const OF_THE_USUAL = [
  "slow-operation",
  "more-calls-than-usual",
  "retry-storm",
  "callee-not-traced",
  "sequential-calls",
];

/** What was usual depends on which blocks are written and merged by now, so it is said here. */
async function freezeTheUsual(page: Page): Promise<void> {
  await page.route("**/api/v1/operations/baseline*", (route) =>
    route.fulfill({
      json: {
        count: 900,
        p50Nanos: 1.2e8,
        p90Nanos: 2.1e8,
        p99Nanos: 6e8,
        histogram: [
          [5e7, 12],
          [1e8, 240],
          [1.5e8, 420],
          [2e8, 130],
          [4e8, 80],
          [8e8, 18],
        ],
        rank: 0.83,
        text: "p83: slower than 83 % of this operation in the last 2 h",
        windowSeconds: 7200,
      },
    }),
  );
  await page.route("**/diagnosis*", async (route) => {
    // A note that is given up takes its question back.
    const answer = await route.fetch().catch(() => undefined);
    if (!answer?.ok()) return void (await route.abort().catch(() => {}));
    const diagnosis = (await answer.json()) as { findings: { rule: string }[] };
    const findings = diagnosis.findings.filter(({ rule }) => !OF_THE_USUAL.includes(rule));
    await route.fulfill({ response: answer, json: { ...diagnosis, findings, percentiles: {}, excess: [] } });
  });
}

/** How long a search took and what it read: that is the machine's. */
async function withoutTime(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const element of document.querySelectorAll<HTMLElement>(".results header .tabular > .muted")) {
      element.style.visibility = "hidden";
    }
  });
}

/** How this machine draws letters. Where another one draws them otherwise, pictures tell nothing. */
async function letters(page: Page): Promise<string> {
  return page.evaluate(() => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [600, 60];
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    for (const [line, family] of [getComputedStyle(document.body).fontFamily, "monospace"].entries()) {
      context.font = `14px ${family}`;
      context.fillText("Hamburgefonstiv 0123456789 { duration > 1.84 s } — ×37", 4, 20 + 28 * line);
    }
    let hash = 0;
    for (const byte of context.getImageData(0, 0, 600, 60).data) hash = (Math.imul(hash, 31) + byte) | 0;
    return (hash >>> 0).toString(16);
  });
}

/** Whether letters look as they did where the pictures were made. */
async function drawsAlike(page: Page): Promise<boolean> {
  const path = join(GOLDEN, "letters.txt");
  const drawn = await letters(page);
  if (process.env.SPANLAKE_WRITE_PICTURES) {
    mkdirSync(GOLDEN, { recursive: true });
    writeFileSync(path, `${drawn}\n`);
  }
  return readFileSync(path, "utf8").trim() === drawn;
}

/** When nothing was asked of the server, and nothing drawn, for a while. */
async function still(page: Page): Promise<void> {
  await page.waitForLoadState("networkidle");
  // Over nothing that answers to it.
  await page.mouse.move(720, 20);
  await page.locator(".said.shown").waitFor({ state: "hidden" });
  let last = "";
  for (let round = 0; round < 40; round++) {
    await page.waitForTimeout(250);
    await withoutTime(page);
    const now = (await page.screenshot({ animations: "disabled", caret: "hide" })).toString("base64");
    if (now === last) return;
    last = now;
  }
}

function compare(name: string, seen: Buffer): void {
  const path = join(GOLDEN, `${name}.png`);
  const actual = PNG.sync.read(seen);
  if (process.env.SPANLAKE_WRITE_PICTURES) {
    mkdirSync(GOLDEN, { recursive: true });
    writeFileSync(path, indexedPng(actual));
    return;
  }
  if (!existsSync(path)) throw new Error(`no picture ${path}: write it with SPANLAKE_WRITE_PICTURES=1`);
  const golden = PNG.sync.read(readFileSync(path));
  const { width, height } = golden;
  expect([actual.width, actual.height], `size of ${name}`).toEqual([width, height]);
  const difference = new PNG({ width, height });
  const different = pixelmatch(golden.data, actual.data, difference.data, width, height, { threshold: DISTANCE });
  const share = different / (width * height);
  console.info(`${name}: ${different} pixels differ (${(share * 100).toFixed(3)} %)`);
  if (different === 0) return;
  mkdirSync(SEEN, { recursive: true });
  writeFileSync(join(SEEN, `${name}.png`), seen);
  writeFileSync(join(SEEN, `${name}-difference.png`), PNG.sync.write(difference));
  if (share <= MOST_DIFFERENT) return;
  expect.fail(
    `${(share * 100).toFixed(2)} % of the pixels of ${name} differ from ${path}: see ${SEEN}/${name}.png and ` +
      `${name}-difference.png. If it is what was meant, write the pictures with SPANLAKE_WRITE_PICTURES=1.`,
  );
}

for (const theme of ["dark", "light"] as const) {
  for (const { name, path, ready } of PAGES) {
    test(`${name}, ${theme}`, (context) =>
      visit({ theme, steadyFont: true }, async ({ page, go }) => {
        await freezeTheUsual(page);
        await go(await path());
        if (!(await drawsAlike(page)))
          context.skip("this machine draws letters otherwise than the one of the pictures");
        await ready(page);
        await still(page);
        compare(`${name}-${theme}`, await page.screenshot({ animations: "disabled", caret: "hide" }));
      }));
  }
}
