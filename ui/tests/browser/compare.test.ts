// From a trace to what it does that others do not; its services as a map; and what a span's attributes lead to.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { hour, traceOf, useBrowser, visit } from "./browser";

useBrowser();

const RETRIED = '{ resource.service.name = "pay" && span.http.request.resend_count > 1 }';

const param = (page: Page, key: string) => new URL(page.url()).searchParams.get(key);

test("compare: from a trace by a key to another, to all of its kind, and back", () =>
  visit({}, async ({ page, go }) => {
    const id = await traceOf(RETRIED);
    await go(`/trace/${id}`);
    await page.locator('[role="row"]').first().waitFor();
    await page.keyboard.press("x");
    await page.waitForURL(/\/compare/);
    expect(param(page, "a")).toBe(id);
    await page.getByRole("button", { name: "Compare", exact: true }).nth(1).click();
    await page.waitForURL(/b=/);
    const paths = page.getByRole("table", { name: "Call paths" });
    await paths.locator("tbody tr").first().waitFor();
    const few = await paths.locator("tbody tr").count();
    await page.getByLabel("Alike ones too").check();
    await page.waitForURL(/all=1/);
    expect(await paths.locator("tbody tr").count()).toBeGreaterThan(few);
    const b = param(page, "b");
    await page.getByRole("button", { name: "Swap A and B" }).click();
    await page.waitForURL((url) => url.searchParams.get("a") === b);
    await page.getByRole("button", { name: "Compare with another" }).click();
    await page.getByRole("button", { name: "Compare with all of them" }).click();
    await page.waitForURL(/cohort=/);
    await page.getByText(/other traces/).waitFor();
    await page.reload();
    await page.getByText(/other traces/).waitFor();
    await page.goBack();
    await page.getByRole("button", { name: "Compare with all of them" }).waitFor();
  }));

test("trace: its services as a map lead to their spans", () =>
  visit({}, async ({ page, go }) => {
    await go(`/trace/${await traceOf(RETRIED)}`);
    await page.locator("#tab-map").click();
    await page.waitForURL(/view=map/);
    const bank = page.getByRole("button", { name: /^bank-gateway .*failed/ });
    await bank.waitFor();
    await page.reload();
    await bank.waitFor();
    await bank.press("Enter");
    await page.locator(".find-state").waitFor();
    expect(await page.locator(".find-state").textContent()).toMatch(/\d+ match/);
  }));

test("an attribute becomes a column of the search, and stays at hand once it is pinned", () =>
  visit({}, async ({ page, go }) => {
    await go(`/${hour({ q: RETRIED })}`);
    await page.locator(".results tbody tr a").first().click();
    await page.waitForURL(/\/trace\//);
    await page.locator('[role="row"]').first().waitFor();
    await page.keyboard.press("e");
    const row = page.locator(".attribute").filter({ hasText: "error.type" });
    await row.first().hover();
    await page.getByRole("button", { name: "Pin error.type" }).click();
    expect(await page.locator(".attribute dt").first().textContent()).toContain("error.type");
    await page.getByRole("link", { name: "Add a column error.type to the search" }).click();
    await page.waitForURL(/cols=span.error.type/);
    expect(param(page, "q")).toBe(RETRIED);
    await page.getByRole("columnheader", { name: "error.type" }).waitFor();
    await page.getByRole("button", { name: "Filter to a value of span.error.type" }).click();
    await page.getByRole("textbox", { name: "Value of span.error.type" }).waitFor();
    await page.getByRole("button", { name: "503", exact: true }).click();
    await page.waitForURL((url) => url.search.includes("503"));
  }));

test("notes say what the diagnosis finds in the traces on the screen, and can be switched off", () =>
  visit({}, async ({ page, go }) => {
    const asked: string[] = [];
    page.on("request", (request) => {
      if (request.url().includes("/diagnosis")) asked.push(request.url());
    });
    await go(`/${hour({ q: RETRIED, limit: "1000" })}`);
    await page.locator(".results .tag").filter({ hasText: "retries" }).first().waitFor();
    await page.waitForLoadState("networkidle");
    const rows = await page.locator(".results tbody tr").count();
    const seen = await page
      .locator(".results tbody tr")
      .evaluateAll((all) => all.filter((row) => row.getBoundingClientRect().top < window.innerHeight).length);
    expect(rows).toBeGreaterThan(seen);
    expect(asked.length).toBeLessThanOrEqual(seen);
    await page.getByRole("button", { name: "Choose columns" }).click();
    await page.getByRole("button", { name: "Notes" }).click();
    await page.getByRole("columnheader", { name: "Notes" }).waitFor({ state: "detached" });
  }));
