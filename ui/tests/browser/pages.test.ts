// A journey for each page: what it shows, and that back, forward and reload restore it.

import { expect, inject, test } from "vitest";
import { hour, useBrowser, visit } from "./browser";

useBrowser();

test("search: from all traces to the failed ones of one service, and back", () =>
  visit({}, async ({ page, go }) => {
    await go(`/${hour()}`);
    const rows = page.locator(".results tbody tr");
    await rows.first().waitFor();
    expect(await rows.count()).toBeGreaterThan(20);
    await page.getByRole("figure").filter({ hasText: "Spans" }).first().waitFor();
    await page.getByRole("button", { name: "Errors only" }).click();
    await page.waitForURL(/status/);
    await page
      .getByText(/so far|first|traces/)
      .first()
      .waitFor();
    await rows.first().waitFor();
    expect(await rows.first().locator(".error-text").count()).toBeGreaterThan(0);
    await page.getByRole("button", { name: "Filter to a service" }).click();
    await page.getByRole("textbox", { name: "Name of a service" }).fill("check");
    await page.getByRole("button", { name: "checkout", exact: true }).click();
    await page.waitForURL(/checkout/);
    const filtered = page.url();
    await rows.first().waitFor();
    await page.goBack();
    await page.waitForURL((url) => !url.href.includes("checkout"));
    await page.goForward();
    await page.waitForURL(filtered);
    await page.reload();
    await rows.first().waitFor();
    expect(await page.locator(".chip").allInnerTexts()).toContain('resource.service.name = "checkout"');
  }));

test("search: columns, order and what they leave in the address", () =>
  visit({}, async ({ page, go }) => {
    await go(`/${hour({ q: "{ span.http.route != nil }" })}`);
    const rows = page.locator(".results tbody tr");
    await rows.first().waitFor();
    await page.getByRole("button", { name: "Choose columns" }).click();
    await page.getByRole("textbox", { name: "Name of an attribute" }).fill("http.route");
    await page.getByRole("button", { name: "span.http.route", exact: true }).click();
    await page.keyboard.press("Escape");
    await page.waitForURL(/cols=span.http.route/);
    await page.getByRole("columnheader", { name: "http.route" }).waitFor();
    await page.getByRole("button", { name: "Duration" }).click();
    await page.waitForURL(/sort=slowest/);
    await page.waitForFunction(() => {
      const shares = [...document.querySelectorAll(".results .share-bar .part")].map((bar) =>
        Number(bar.getAttribute("width")),
      );
      return shares.length > 5 && shares.every((share, at) => at === 0 || share <= (shares[at - 1] ?? 0));
    });
  }));

test("search: the editor completes, runs on Enter, and says what is wrong where it is", () =>
  visit({}, async ({ page, go }) => {
    await go(`/${hour()}`);
    await page.keyboard.press("/");
    const editor = page.locator(".query-host .cm-content");
    await editor.waitFor();
    await page.keyboard.type("{ stat");
    await page.locator(".cm-tooltip-autocomplete").getByText("status", { exact: true }).first().waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.type("us = errror");
    await page.getByRole("alert").filter({ hasText: "^" }).waitFor();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("{ status = error }");
    await page.keyboard.press("Control+Enter");
    await page.waitForURL(/status/);
    await page.locator(".results tbody tr").first().waitFor();
  }));

test("search: nothing found says which condition finds nothing", () =>
  visit({}, async ({ page, go }) => {
    await go(`/${hour({ q: '{ resource.service.name = "checkout" && span.htp.route = "/pay" }' })}`);
    await page.getByRole("heading", { name: "No trace matches in this time" }).waitFor();
    const line = page.getByRole("row").filter({ hasText: "htp.route" });
    await line.waitFor();
    await line.getByRole("button", { name: "Drop it" }).click();
    await page.locator(".results tbody tr").first().waitFor();
  }));

test("search: Jaeger's links", () =>
  visit({}, async ({ page, go }) => {
    await go('/search?service=checkout&lookback=1h&limit=20&tags={"error":"true"}');
    await page.locator(".results tbody tr").first().waitFor();
    const params = new URL(page.url()).searchParams;
    expect(params.get("q")).toBe('{ resource.service.name = "checkout" && status = error }');
    expect(params.get("from")).toBe("now-1h");
  }));

test("explore: the slowest, what sets them apart, and their traces", () =>
  visit({}, async ({ page, go }) => {
    await go(`/explore${hour({ q: "{ kind = server }" })}`);
    await page.getByRole("application", { name: /Durations of/ }).waitFor();
    await page.getByRole("button", { name: /Slowest/ }).click();
    await page.waitForURL(/sel=/);
    await page.getByRole("heading", { name: "What sets them apart" }).waitFor();
    await page.locator(".differences tbody tr").first().waitFor();
    await page.getByRole("button", { name: "Just before" }).click();
    await page.waitForURL(/base=before/);
    await page.reload();
    await page.getByText(/spans chosen/).waitFor();
    await page.getByRole("button", { name: "Show traces" }).click();
    await page.waitForURL((url) => url.pathname === "/" && url.search.includes("duration"));
    await page.locator(".results tbody tr").first().waitFor();
    await page.goBack();
    await page.getByText(/spans chosen/).waitFor();
  }));

test("explore: a box by keys and by mouse", () =>
  visit({}, async ({ page, go }) => {
    await go(`/explore${hour()}`);
    const map = page.getByRole("application", { name: /Durations of/ });
    await map.focus();
    for (const key of ["ArrowLeft", "ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowDown", "Shift+ArrowDown", "Enter"]) {
      await page.keyboard.press(key);
    }
    await page.waitForURL(/sel=/);
    const byKeys = new URL(page.url()).searchParams.get("sel");
    await page.getByRole("button", { name: "Clear" }).click();
    const box = await map.boundingBox();
    if (!box) throw new Error("no heatmap");
    await page.mouse.move(box.x + box.width * 0.4, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.7, box.y + 200, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/sel=/);
    expect(new URL(page.url()).searchParams.get("sel")).not.toBe(byKeys);
  }));

test("services: the list, one of them, its operations", () =>
  visit({}, async ({ page, go }) => {
    await go(`/services${hour()}`);
    const rows = page.locator(".red tbody tr");
    await rows.first().waitFor();
    expect(await rows.count()).toBeGreaterThanOrEqual(5);
    await page.getByRole("searchbox", { name: "Find a service" }).fill("check");
    await page.waitForURL(/find=check/);
    await page.getByRole("link", { name: /^checkout/ }).click();
    await page.waitForURL(/services\/checkout/);
    await page.getByRole("heading", { name: "Operations" }).waitFor();
    await page.getByRole("img", { name: /Requests:/ }).waitFor();
    await page.reload();
    await page.locator(".red tbody tr").first().waitFor();
    await page.goBack();
    await page.waitForURL(/find=check/);
  }));

test("map: all services, one in the middle, the table", () =>
  visit({}, async ({ page, go }) => {
    await go(`/map${hour()}`);
    const nodes = page.locator(".map-picture .node");
    await nodes.first().waitFor();
    const all = await nodes.count();
    await page
      .locator(".map-picture .node")
      .filter({ hasText: /^checkout\d/ })
      .click();
    await page.waitForURL(/service=checkout/);
    await page.locator(".map-picture .node.focused").waitFor();
    expect(await nodes.count()).toBeLessThanOrEqual(all);
    await page.getByRole("button", { name: "Table" }).click();
    await page.getByRole("table", { name: "Calls between services" }).waitFor();
    await page.goBack();
    await nodes.first().waitFor();
  }));

test("live: a span shows as it arrives", () =>
  visit({}, async ({ page, go }) => {
    await go("/live");
    await page.getByText("listening").waitFor();
    const now = BigInt(Date.now()) * 1_000_000n;
    const traceId = "5b8efff798038103d269b633813fc60c";
    await fetch(`${inject("otlp")}/v1/traces`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-scope-orgid": "demo" },
      body: JSON.stringify({
        resourceSpans: [
          {
            resource: { attributes: [{ key: "service.name", value: { stringValue: "late-comer" } }] },
            scopeSpans: [
              {
                spans: [
                  {
                    traceId,
                    spanId: "eee19b7ec3c1b174",
                    name: "arrives",
                    kind: 2,
                    startTimeUnixNano: String(now - 5_000_000n),
                    endTimeUnixNano: String(now),
                  },
                ],
              },
            ],
          },
        ],
      }),
    });
    await page.getByRole("link", { name: /late-comer arrives/ }).waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("paused", { exact: true }).waitFor();
  }));

test("status: numbers, a block, queries", () =>
  visit({}, async ({ page, go }) => {
    await go("/status");
    await page.getByText("ready", { exact: true }).waitFor();
    await page.getByRole("heading", { name: "Ingest" }).waitFor();
    await page.getByRole("heading", { name: "Running queries" }).waitFor();
    const block = page.locator(".blocks .block-name").first();
    await block.click();
    await page.waitForURL(/block=/);
    await page.locator(".inside li").first().waitFor();
    await page.reload();
    await page.locator(".inside li").first().waitFor();
  }));

test("no such page", () =>
  visit({ allow: /404/ }, async ({ page, go }) => {
    await go("/");
    await page.evaluate(() => {
      window.history.pushState(null, "", "/nowhere");
      window.dispatchEvent(new PopStateEvent("popstate"));
    });
    await page.getByRole("heading", { name: "There is no such page" }).waitFor();
  }));
