// A page in Debian's Chromium that fails its test for any error on the console and any request to elsewhere.

import { existsSync } from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject } from "vitest";
import { DEMO_NOW } from "./demo";

const CHROMIUM = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let browser: Browser;

/** For pictures: letters drawn the same on every machine. */
export const STEADY_FLAGS = ["--font-render-hinting=none", "--disable-lcd-text", "--force-device-scale-factor=1"];

/** Call once in each file. */
export function useBrowser(more: readonly string[] = []): void {
  beforeAll(async () => {
    const executablePath = CHROMIUM.find((path) => path && existsSync(path));
    if (!executablePath) throw new Error("no Chromium: install Debian's package `chromium`, or name one in CHROMIUM");
    browser = await chromium.launch({ executablePath, args: [...FLAGS, ...more] });
  });
  afterAll(() => browser?.close());
}

export interface Visit {
  page: Page;
  /** Goes to a path below the base. */
  go: (path: string) => Promise<void>;
  /** What went wrong so far; expected failures can be taken out by a test. */
  faults: string[];
}

export interface VisitOptions {
  theme?: "dark" | "light";
  width?: number;
  height?: number;
  /** Failed requests are reported on the console by the browser itself; a test that causes them allows them. */
  allow?: RegExp;
  /** The clock goes on: what is measured needs it. Times in the address must then be fixed ones. */
  moving?: boolean;
  /** The font that `scripts/setup` installs, whatever else the machine has. */
  steadyFont?: boolean;
}

/** Runs `work` with a fresh page at the demo's instant, and checks that nothing went wrong beside what it checks. */
export async function visit(options: VisitOptions, work: (visit: Visit) => Promise<void>): Promise<void> {
  const base = inject("base");
  const context: BrowserContext = await browser.newContext({
    viewport: { width: options.width ?? 1440, height: options.height ?? 900 },
    colorScheme: options.theme ?? "dark",
    timezoneId: "UTC",
    locale: "en-GB",
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" && !options.allow?.test(message.text())) faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`exception: ${error.stack ?? error.message}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !/^(data|blob):/.test(url)) faults.push(`request to elsewhere: ${url}`);
  });
  if (options.steadyFont) await page.addInitScript(useSteadyFont);
  if (!options.moving) await page.clock.setFixedTime(new Date(DEMO_NOW));
  try {
    await work({
      page,
      faults,
      go: async (path) => {
        await page.goto(base + path);
      },
    });
    expect(faults).toEqual([]);
  } catch (error) {
    const picture = `/tmp/spanlake-ui-failure-${Date.now()}.png`;
    await page.screenshot({ path: picture }).catch(() => {});
    throw new Error(
      `${error instanceof Error ? error.message : error}\nat ${page.url()}, picture in ${picture}\n${faults.join("\n")}`,
      { cause: error },
    );
  } finally {
    await context.close();
  }
}

/** Runs in the page, before its own scripts. */
function useSteadyFont(): void {
  const set = () => {
    document.documentElement.style.setProperty("--font", '"DejaVu Sans"');
    document.documentElement.style.setProperty("--mono", '"DejaVu Sans Mono"');
  };
  if (document.documentElement) set();
  document.addEventListener("DOMContentLoaded", set);
}

/** The ids of traces of the hour before the demo's instant that a query finds: at least one, at most so many. */
export async function tracesOf(query: string, limit = 1): Promise<string[]> {
  const end = Date.parse(DEMO_NOW) / 1_000;
  const params = new URLSearchParams({ q: query, start: String(end - 3_600), end: String(end), limit: String(limit) });
  const answer = await fetch(`${inject("base")}/api/search?${params}`);
  expect(answer.status, await answer.clone().text()).toBe(200);
  const { traces } = (await answer.json()) as { traces: { traceID: string }[] };
  expect(traces.length, query).toBeGreaterThan(0);
  return traces.map((trace) => trace.traceID.padStart(32, "0"));
}

/** The first of them. */
export async function traceOf(query: string): Promise<string> {
  const [first = ""] = await tracesOf(query);
  return first;
}

/** A query string with the last hour before the demo's instant and what is given. */
export function hour(more: Record<string, string> = {}): string {
  return `?${new URLSearchParams({ from: "now-1h", to: "now", ...more })}`;
}
