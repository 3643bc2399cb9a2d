// The trace view on the demo's planted faults, against the real server: each is shown where it is, and keys alone lead
// from the first page to the span that is to blame.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { hour, traceOf, useBrowser, visit } from "./browser/browser";

useBrowser();

const labels = (page: Page): Promise<string[]> =>
  page.evaluate(() => window.__spanlake?.rows().map((row) => row.label) ?? []);

async function onTrace(query: string, run: (page: Page) => Promise<void>): Promise<void> {
  const id = await traceOf(query);
  await visit({}, async ({ page, go }) => {
    await go(`/trace/${id}`);
    await page.waitForSelector('[role="row"]');
    await expect.poll(async () => (await labels(page)).length).toBeGreaterThan(0);
    await run(page);
  });
}

const finding = (page: Page, title: RegExp) => page.locator(".finding", { hasText: title });

test("one query for each order is a folded row and a finding", () =>
  onTrace('{ span.http.route = "/orders" } && { name = "SELECT order_items" } | count() > 5', async (page) => {
    await expect
      .poll(async () => (await labels(page)).some((label) => /SELECT order_items ×\d+/.test(label)))
      .toBe(true);
    await page.click("#tab-diagnosis");
    await finding(page, /N\+1/).first().waitFor();
    await finding(page, /N\+1/).first().getByRole("button").first().click();
    await page.waitForSelector(".span-finding");
    await page.waitForSelector(".attribute");
    expect(await page.textContent(".attributes")).toContain("db.");
  }));

test("a failure leads to the span where it began", () =>
  onTrace('{ resource.service.name = "pay" && status = error && resource.service.version = "2.4.1" }', async (page) => {
    await page.keyboard.press("e");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".span-error");
    await page.click("#tab-diagnosis");
    await page.waitForSelector(".finding");
  }));

test("a clock that is ahead is said, and taken back on demand", () =>
  onTrace('{ resource.host.name = "node-use1-7" && kind = server }', async (page) => {
    await page.locator(".notices", { hasText: "clock" }).waitFor();
    await page.getByRole("button", { name: "adjusted" }).click();
    await page.waitForURL(/skew=adjusted/);
    await page.goBack();
    await page.waitForURL((url) => !url.href.includes("skew"));
  }));

test("a parent that is not there is a row with its cause, not an advice to reload", () =>
  onTrace(
    '{ resource.service.name = "shipping" && span.http.request.header.via = "1.1 parcel-proxy" }',
    async (page) => {
      await expect.poll(async () => (await labels(page)).some((label) => label.startsWith("missing span"))).toBe(true);
      const notice = (await page.textContent(".notices")) ?? "";
      expect(notice).toMatch(/1 missing parent \((caller sends no spans here|may still arrive)\)/);
      // The demo has only just been sent, so that the server cannot know yet.
      if (!notice.includes("may still arrive")) expect(notice).not.toMatch(/load/i);
    },
  ));

test("time of which nothing tells is a row", () =>
  onTrace('{ span.http.route = "/api/search" && duration > 150ms }', async (page) => {
    await expect.poll(async () => (await labels(page)).some((label) => label.startsWith("no spans for"))).toBe(true);
  }));

test("20,000 spans are searched by the server and pruned to what matches", () =>
  onTrace('{ name = "newsletter.run" }', async (page) => {
    await page.keyboard.press("Control+f");
    await page.keyboard.type("{ status = error }");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".find-state");
    const state = (await page.textContent(".find-state")) ?? "";
    if (!state.startsWith("none")) {
      await page.click('.find button:has-text("only")');
      await page.waitForURL(/only=1/);
      await expect.poll(async () => (await labels(page)).some((label) => /spans pruned/.test(label))).toBe(true);
    }
    await page.click("#tab-flame");
    await page.waitForSelector(".flame canvas");
    await page.click("#tab-table");
    await page.waitForSelector(".statistics tbody tr");
  }));

test("share: Markdown from the server, OTLP JSON on its tab", () =>
  onTrace('{ span.http.route = "/gift-finder" }', async (page) => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Share" }).click();
    await page.getByRole("button", { name: "Copy as Markdown" }).click();
    await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toContain("```");
    await page.click("#tab-json");
    await page.waitForSelector(".trace-json pre");
    expect(await page.textContent(".trace-json pre")).toContain("/gift-finder");
  }));

test("keys alone, from the first page to the query to blame", () =>
  visit({}, async ({ page, go }) => {
    await go(`/${hour()}`);
    await page.locator(".results tbody tr").first().waitFor();
    await page.keyboard.press("/");
    await page.locator(".query-host .cm-content").waitFor();
    await page.keyboard.press("Control+a");
    await page.keyboard.type('{ span.http.route = "/orders" } && { name = "SELECT order_items" } | count() > 5');
    await page.keyboard.press("Control+Enter");
    await page.waitForURL(/order_items/);
    await page.locator(".results tbody tr").first().waitFor();
    for (let presses = 0; presses < 80; presses++) {
      await page.keyboard.press("Tab");
      if (await page.evaluate(() => document.activeElement?.getAttribute("href")?.includes("trace/") ?? false)) break;
    }
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/trace\//);
    await page.waitForSelector('[role="row"]:focus');
    for (let presses = 0; presses < 60; presses++) {
      const text = await page.evaluate(() => document.activeElement?.textContent ?? "");
      if (/SELECT order_items ×/.test(text)) break;
      await page.keyboard.press("ArrowDown");
      await page.waitForTimeout(30);
    }
    await expect
      .poll(() => page.evaluate(() => document.activeElement?.textContent ?? ""))
      .toMatch(/SELECT order_items ×/);
    await page.keyboard.press("Enter");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".span-finding");
    expect(await page.textContent(".span-panel")).toContain("SELECT order_items");
  }));
