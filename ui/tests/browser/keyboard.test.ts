// From the first page to the span at fault without a mouse.

import { expect, test } from "vitest";
import { hour, useBrowser, visit } from "./browser";

useBrowser();

test("keyboard only: from home to the failed span of a failed trace", () =>
  visit({}, async ({ page, go }) => {
    await go(`/${hour()}`);
    await page.locator(".results tbody tr").first().waitFor();
    await page.keyboard.press("/");
    await page.locator(".query-host .cm-content").waitFor();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("{ status = error }");
    await page.keyboard.press("Control+Enter");
    await page.waitForURL(/status/);
    await page.locator(".results tbody tr .error-text").first().waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("j");
    await page.waitForFunction(() => document.activeElement?.closest(".results tr") !== null);
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/trace\//);
    await page.getByRole("treegrid").first().waitFor();
    await page.keyboard.press("e");
    await page.waitForURL(/span=/);
    expect(await page.locator("[aria-label*='error'], [aria-label*='Error']").count()).toBeGreaterThan(0);
  }));

test("keys go to every page, and the sheet lists them", () =>
  visit({}, async ({ page, go }) => {
    await go(`/${hour()}`);
    await page.locator(".results").waitFor();
    for (const [key, path] of [
      ["e", "/explore"],
      ["v", "/services"],
      ["m", "/map"],
      ["l", "/live"],
      ["t", "/status"],
      ["o", "/open"],
      ["s", "/"],
    ] as const) {
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await page.waitForURL((url) => url.pathname === path);
      // What one looks at stays.
      expect(new URL(page.url()).searchParams.get("from")).toBe("now-1h");
    }
    await page.keyboard.press("?");
    const sheet = page.getByRole("dialog", { name: "Keyboard" });
    await sheet.waitFor();
    expect(await sheet.textContent()).toContain("Next trace");
    await page.keyboard.press("Escape");
    await sheet.waitFor({ state: "hidden" });
  }));

test("a key that was changed works, and the old one does not", () =>
  visit({}, async ({ page, go }) => {
    await go(`/${hour()}`);
    await page.locator(".results").waitFor();
    await page.keyboard.press("?");
    await page.getByRole("button", { name: "Change keys" }).click();
    await page.getByRole("button", { name: /^Keys for Explore: g e/ }).click();
    await page.keyboard.press("z");
    await page.getByRole("button", { name: /^Keys for Explore: z/ }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog", { name: "Keyboard" }).waitFor({ state: "hidden" });
    await page.keyboard.press("z");
    await page.waitForURL(/\/explore/);
    await page.reload();
    await page.keyboard.press("g");
    await page.keyboard.press("v");
    await page.waitForURL(/\/services/);
    await page.keyboard.press("z");
    await page.waitForURL(/\/explore/);
  }));
