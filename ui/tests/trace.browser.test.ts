// The trace view in Chromium, on generated traces: what it shows, keys alone, hostile data, a saved file, axe, and how
// fast it is. Needs the built page in `dist`.

import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { axe, launch, open, type Watched } from "./browser";
import { hostile } from "./hostile-trace";
import { detailsOf, diagnosisOf, skeletonOf } from "./skeletons";
import { type FakeTrace, generated, serveFake } from "./trace-fake";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const SLACK = 3;
let browser: Browser;
let server: Server;
let url = "";
const traces = new Map<string, FakeTrace>();
const idOf: Record<string, string> = {};

function add(name: string, trace: FakeTrace): void {
  traces.set(trace.skeleton.traceId, trace);
  idOf[name] = trace.skeleton.traceId;
}

beforeAll(async () => {
  for (const spans of [300, 10_000, 50_000, 100_000]) add(String(spans), generated(spans));
  add("hostile", hostile());
  const cut = skeletonOf({ seed: 77, spans: 40 });
  add("cut", {
    skeleton: { ...cut, truncated: true, spanCount: 1243, hiddenChildren: { "5": 1203 } },
    diagnosis: diagnosisOf(cut),
    details: detailsOf(cut),
  });
  ({ url, server } = await serveFake(dist, traces));
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  server?.close();
});

/** Opens a trace, waits for its rows, runs, and demands that nothing went wrong. */
async function on(
  name: string,
  query: string,
  run: (page: Page, watched: Watched) => Promise<void>,
  options = {},
): Promise<void> {
  const watched = await open(browser, url, options);
  try {
    await watched.page.goto(`${url}/trace/${idOf[name]}${query}`);
    await watched.page.waitForSelector(".trace-head");
    await run(watched.page, watched);
    expect(watched.problems).toEqual([]);
  } finally {
    await watched.close();
  }
}

const focused = (page: Page): Promise<string> => page.evaluate(() => document.activeElement?.textContent ?? "");
const labels = (page: Page): Promise<string[]> =>
  page.evaluate(() => window.__spanlake?.rows().map((row) => row.label) ?? []);
const address = (page: Page): URLSearchParams => new URL(page.url()).searchParams;

describe("journey", () => {
  test("find, next error, attributes, filter", () =>
    on("300", "", async (page) => {
      await expect.poll(() => labels(page)).toContain("no spans for 300 ms, on critical path");
      expect((await labels(page)).some((label) => label.includes("postgres SELECT card ×37"))).toBe(true);
      expect(await page.textContent(".notices")).toContain("1 missing parent (caller sends no spans here)");
      expect(await page.textContent(".notices")).not.toMatch(/reload/i);

      await page.keyboard.press("Control+f");
      await page.keyboard.type("authorize");
      await page.waitForSelector(".find-state");
      await page.keyboard.press("Enter");
      await expect.poll(() => page.textContent(".find-state")).toMatch(/^\d+\/\d+ matches/);
      expect(address(page).get("find")).toBe("authorize");
      await page.click('.find button:has-text("only")');
      await expect.poll(async () => (await labels(page)).some((label) => /spans pruned/.test(label))).toBe(true);
      await page.click('.find button:has-text("only")');

      await page.keyboard.press("Escape");
      await page.click(".wf", { position: { x: 60, y: 45 } });
      await page.keyboard.press("e");
      await page.keyboard.press("Enter");
      await page.waitForSelector(".span-error");
      expect(address(page).get("span")).toMatch(/^[0-9a-f]{16}$/);
      await page.waitForSelector(".attribute");
      expect(await page.textContent(".attributes")).toContain("http.route");
      await page.hover(".attribute");
      await page.click('[aria-label="Search traces with this http.route"]');
      await page.waitForURL(/q=/);
      expect(address(page).get("q")).toMatch(/^\{ span\.http\.route = "\/item\/\d" \}$/);
      await page.goBack();
      await page.waitForSelector(".span-error");
    }));

  test("the address restores the view, back and forward follow it", () =>
    on("300", "?span=0000000000000005&view=flame&z=200000000,900000000", async (page) => {
      await page.waitForSelector('[role="tab"][aria-selected="true"]:has-text("Flame")');
      await page.click("#tab-table");
      await page.waitForSelector(".statistics tbody tr");
      await page.goBack();
      await page.waitForSelector(".flame");
      await page.click("#tab-waterfall");
      await page.reload();
      await page.waitForSelector(".span-panel");
      expect(address(page).get("z")).toBe("200000000,900000000");
      expect(await page.textContent(".span-panel header")).toContain("postgres");
      await page.keyboard.press("]");
      await expect.poll(() => address(page).get("fold")).toMatch(/^u/);
    }));

  test("every tab shows its own", () =>
    on("300", "", async (page) => {
      await page.click("#tab-diagnosis");
      await page.click(".finding-spans button >> nth=2");
      await page.waitForSelector(".wf-grid");
      await page.waitForSelector(".span-finding");
      await page.click("#tab-table");
      await page.click("text=service >> nth=-1");
      await page.waitForSelector(".statistics tbody tr");
      await page.click(".statistics .name >> nth=0");
      await page.waitForSelector(".wf-grid");
      await page.waitForSelector(".find-state");
    }));

  test("a trace that was cut loads what is below", () =>
    on("cut", "", async (page) => {
      expect(await page.textContent(".notices")).toContain("1,243 spans are too many");
      await expect.poll(() => labels(page)).toContain("1,203 more spans below: load");
      await page.keyboard.press("End");
      for (let presses = 0; presses < 60 && !(await focused(page)).includes("more spans below"); presses++) {
        await page.keyboard.press("ArrowUp");
        await page.waitForTimeout(20);
      }
      await page.keyboard.press("Enter");
      await expect.poll(async () => (await labels(page)).length).toBeGreaterThan(1_200);
      expect(await labels(page)).not.toContain("1,203 more spans below: load");
      await page.waitForSelector(".notices >> text=too many", { state: "detached" });
    }));
});

test("keys alone lead from the first row to the slow call and its attributes", () =>
  on("300", "", async (page) => {
    await page.waitForSelector('[role="row"]');
    await expect.poll(() => focused(page)).toContain("edge SELECT card, 1.84 s, 100 % of trace");
    await page.keyboard.press("ArrowDown");
    await expect.poll(() => focused(page)).toContain("pay GET /cart");
    await page.keyboard.press("ArrowLeft");
    await expect.poll(() => page.getAttribute('[role="row"]:focus', "aria-expanded")).toBe("false");
    await page.keyboard.press("j");
    await expect.poll(() => focused(page)).toContain("×37");
    await page.keyboard.press("Enter");
    await page.keyboard.press("ArrowDown");
    await expect.poll(() => focused(page)).toMatch(/^postgres SELECT card, 24.9 ms/);
    await page.keyboard.press("Enter");
    await page.waitForSelector(".span-panel");
    expect(await page.textContent(".span-finding")).toContain("one call for all of them saves");
    await page.keyboard.press("f");
    await expect.poll(() => address(page).get("z")).not.toBeNull();
    await page.keyboard.press("0");
    await expect.poll(() => address(page).get("z")).toBeNull();
    await page.keyboard.press("?");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
    await page.waitForSelector("dialog[open]", { state: "detached" });
    expect(await page.isVisible(".span-panel")).toBe(true);
    await page.keyboard.press("Escape");
    await page.waitForSelector(".span-panel", { state: "detached" });
    await page.keyboard.press("1");
    await expect.poll(async () => (await labels(page)).length).toBeLessThan(5);
    await page.keyboard.press("Y");
    await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(idOf["300"]);
  }));

test("pointer: zoom, pan, select a time, the strip, and a column that stays as wide as it was made", () =>
  on("300", "", async (page) => {
    await page.waitForSelector('[role="row"]');
    const wide = (): Promise<number> =>
      page.evaluate(() => {
        const [from, to] = (new URL(location.href).searchParams.get("z") ?? "").split(",").map(Number);
        return to - from;
      });
    const box = await page.locator(".wf").boundingBox();
    const top = box?.y ?? 0;
    await page.mouse.move(900, top + 100);
    await page.keyboard.down("Control");
    await page.mouse.wheel(0, -300);
    await page.keyboard.up("Control");
    await expect.poll(wide).toBeLessThan(1.84e9);
    const zoomed = await wide();
    const before = address(page).get("z");
    await page.keyboard.press("d");
    await expect.poll(() => address(page).get("z")).not.toBe(before);
    expect(await wide()).toBeCloseTo(zoomed, -1);
    await page.mouse.move(700, top + 200);
    await page.mouse.down();
    await page.mouse.move(800, top + 200, { steps: 4 });
    await page.mouse.up();
    await expect.poll(wide).toBeLessThan(zoomed / 5);
    const strip = await page.locator(".minimap").boundingBox();
    await page.mouse.dblclick(900, (strip?.y ?? 0) + 20);
    await expect.poll(() => address(page).get("z")).toBeNull();
    await page.mouse.move(600, (strip?.y ?? 0) + 20);
    await page.mouse.down();
    await page.mouse.move(800, (strip?.y ?? 0) + 20, { steps: 4 });
    await page.mouse.up();
    await expect.poll(wide).toBeLessThan(0.5e9);
    await page.mouse.move(400, top + 200);
    await page.mouse.down();
    await page.mouse.move(520, top + 200, { steps: 4 });
    await page.mouse.up();
    await page.reload();
    await page.waitForSelector('[role="row"]');
    expect(await page.evaluate(() => localStorage.getItem("spanlake.trace.left"))).toBe("520");
  }));

test("hostile text stays text", () =>
  on("hostile", "?span=0000000000000001", async (page) => {
    await page.waitForSelector(".attribute");
    expect(await page.evaluate(() => (window as unknown as { hacked?: boolean }).hacked)).toBeUndefined();
    const text = (await page.textContent(".span-panel")) ?? "";
    expect(text).toContain("<script>window.hacked=true</script>");
    expect(text).toContain("\\u{202e}");
    expect(text).toContain("\\x1b[31m");
    const links = await page.$$eval(".attribute bdi a", (found) =>
      found.map((one) => [one.getAttribute("href"), one.getAttribute("rel")]),
    );
    expect(links).toEqual([["https://example.org/fine?a=b", "noopener noreferrer"]]);
    expect(text).toContain("javascript:window.hacked=true");
    await page.click("text=/All 1 M characters/");
    expect(((await page.textContent(".attributes")) ?? "").length).toBeLessThan(260_000);
    for (const tab of ["flame", "table", "map", "diagnosis", "json", "waterfall"]) await page.click(`#tab-${tab}`);
    await page.keyboard.press("Control+f");
    await page.keyboard.type("<img src=x onerror=window.hacked=true>");
    await page.waitForSelector(".find-state");
    expect(await page.evaluate(() => (window as unknown as { hacked?: boolean }).hacked)).toBeUndefined();
  }));

test("a trace saved as one file opens from disk and asks for nothing", async () => {
  const path = `/tmp/spanlake-saved-${process.pid}.html`;
  await on("300", "", async (page) => {
    await page.click('[aria-label="Share"]');
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("text=Save as one .html file")]);
    await download.saveAs(path);
  });
  expect(readFileSync(path, "utf8")).not.toMatch(/(src|href)="https?:/);
  const watched = await open(browser, "file://");
  try {
    await watched.page.goto(`file://${path}`);
    await watched.page.waitForSelector('[role="row"]');
    await watched.page.keyboard.press("e");
    await watched.page.keyboard.press("Enter");
    await watched.page.waitForSelector(".attribute");
    expect(await watched.page.textContent(".trace-head")).toContain("300");
    expect(watched.problems).toEqual([]);
  } finally {
    await watched.close();
  }
});

describe("axe finds nothing serious", () => {
  for (const colorScheme of ["dark", "light"] as const) {
    test(colorScheme, () =>
      on(
        "300",
        "?span=0000000000000005",
        async (page) => {
          for (const tab of ["waterfall", "flame", "table", "map", "diagnosis", "json"]) {
            await page.click(`#tab-${tab}`);
            await page.waitForTimeout(200);
            expect(await axe(page), tab).toEqual([]);
          }
          await page.click("#tab-waterfall");
          await page.fill("#trace-find", "authorize");
          await page.waitForSelector(".find-state");
          await page.click(".trace-head .error-text");
          await page.waitForSelector(".span-error");
          await page.click('[aria-label="Share"]');
          expect(await axe(page), "find, error and menu").toEqual([]);
          await page.keyboard.press("Escape");
          for (const part of ["resource", "events", "links"]) {
            await page.click(`#part-${part}`);
            expect(await axe(page), part).toEqual([]);
          }
        },
        { colorScheme },
      ),
    );
  }
});

/** Milliseconds from the question for the skeleton to the first frame with rows; runs in the page. */
function untilDrawn(): number {
  const asked = performance.getEntriesByType("resource").find((entry) => entry.name.includes("/skeleton"));
  const drawn = performance.getEntriesByName("trace drawn")[0];
  return (drawn?.startTime ?? Number.POSITIVE_INFINITY) - (asked?.startTime ?? 0);
}

describe("speed", () => {
  for (const [spans, gate] of [
    [10_000, 200],
    [50_000, 500],
    [100_000, 1_000],
  ]) {
    test(`${spans} spans`, () =>
      on(String(spans), "", async (page) => {
        // Best of three: what else runs on the machine is not the page's.
        let took = Number.POSITIVE_INFINITY;
        for (let round = 0; round < 3; round++) {
          if (round > 0) await page.reload();
          await page.waitForSelector('[role="row"]');
          took = Math.min(took, await page.evaluate(untilDrawn));
          if (took < gate) break;
        }
        const session = await page.context().newCDPSession(page);
        await session.send("Performance.enable");
        await session.send("HeapProfiler.collectGarbage");
        const { metrics } = await session.send("Performance.getMetrics");
        const heap = (metrics.find((one) => one.name === "JSHeapUsedSize")?.value ?? 0) / 1e6;
        await page.keyboard.press("]");
        const frames = await page.evaluate(
          () =>
            new Promise<number[]>((done) => {
              const scroller = document.querySelector(".wf") as HTMLElement;
              const times: number[] = [];
              let last = performance.now();
              const step = (now: number): void => {
                times.push(now - last);
                last = now;
                scroller.scrollTop += 137;
                if (times.length < 120) requestAnimationFrame(step);
                else done(times.slice(5).sort((a, b) => a - b));
              };
              requestAnimationFrame(step);
            }),
        );
        const middle = frames[Math.floor(frames.length / 2)];
        const late = frames[Math.floor(frames.length * 0.95)];
        console.info(
          `${spans} spans: drawn after ${took.toFixed(0)} ms, frame ${middle.toFixed(1)} ms, p95 ${late.toFixed(1)} ms, heap ${heap.toFixed(0)} MB`,
        );
        expect(heap).toBeLessThan(150);
        expect(took).toBeLessThan(gate * SLACK);
        expect(middle).toBeLessThan((1_000 / 50) * SLACK);
      }));
  }
});
