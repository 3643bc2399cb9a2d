// No serious or critical finding of axe on any page, in either theme.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { hour, useBrowser, visit } from "./browser";

useBrowser();

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Finding {
  id: string;
  impact: string;
  nodes: { html: string; failureSummary: string }[];
}

const PAGES: [string, string, string][] = [
  ["search", `/${hour()}`, ".results tbody tr"],
  ["empty search", `/${hour({ q: "{ span.nothing = 1 }" })}`, ".empty-why"],
  ["explore", `/explore${hour({ q: "{ kind = server }" })}`, ".heatmap canvas"],
  ["services", `/services${hour()}`, ".red tbody tr"],
  ["service", `/services/checkout${hour()}`, ".red tbody tr"],
  ["compare", "/compare", ".page form"],
  ["map", `/map${hour()}`, ".map-picture .node"],
  ["map table", `/map${hour({ view: "table" })}`, ".grid tbody tr"],
  ["live", "/live", ".live"],
  ["status", "/status", ".tiles .fact"],
  ["open", "/open", ".drop"],
];

for (const theme of ["dark", "light"] as const) {
  for (const [name, path, ready] of PAGES) {
    test(`${name}, ${theme}`, () =>
      visit({ theme }, async ({ page, go }) => {
        await go(path);
        await page.locator(ready).first().waitFor();
        if (name === "explore") {
          await page.getByRole("button", { name: /Slowest/ }).click();
          await page.locator(".differences tbody tr, .differences .empty").first().waitFor();
        }
        // A page's own policy forbids scripts that are put in; the tester's evaluation is not one.
        await page.evaluate(axe);
        const found = await page.evaluate(async () => {
          const run = (window as unknown as { axe: { run: (options: unknown) => Promise<{ violations: Finding[] }> } })
            .axe;
          const { violations } = await run.run({ resultTypes: ["violations"] });
          return violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3) }));
        });
        const grave = (found as Finding[]).filter(({ impact }) => impact === "serious" || impact === "critical");
        expect(
          grave.map(
            ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join("\n")}`,
          ),
        ).toEqual([]);
      }));
  }
}
