// A file of traces: shown, not stored; and hostile text in it stays text.

import { expect, test } from "vitest";
import { useBrowser, visit } from "./browser";

useBrowser();

const HOSTILE = [
  "<script>document.title='owned'</script>",
  "<img src=x onerror=document.title='owned'>",
  "javascript:document.title='owned'",
  "\u202egnp.exe",
  "a\u0000b\u0007c\nd",
  "x".repeat(1_000_000),
];

function file(traces: number): Buffer {
  const spans = Array.from({ length: traces }, (_, trace) =>
    [0, 1].map((at) => ({
      traceId: `${trace + 1}`.padStart(32, "0"),
      spanId: `${trace * 10 + at + 1}`.padStart(16, "0"),
      parentSpanId: at === 0 ? "" : `${trace * 10 + 1}`.padStart(16, "0"),
      name: at === 0 ? HOSTILE[0] : HOSTILE[3],
      kind: 2,
      startTimeUnixNano: String(1_772_460_000_000_000_000n + BigInt(at) * 1_000_000n),
      endTimeUnixNano: String(1_772_460_000_100_000_000n),
      status: { code: 2, message: HOSTILE[1] },
      attributes: HOSTILE.map((value, key) => ({ key: `hostile.${key}`, value: { stringValue: value } })),
    })),
  ).flat();
  return Buffer.from(
    JSON.stringify({
      resourceSpans: [
        {
          resource: { attributes: [{ key: "service.name", value: { stringValue: HOSTILE[1] } }] },
          scopeSpans: [{ spans }],
        },
      ],
    }),
  );
}

test("a file of one hostile trace", () =>
  visit({}, async ({ page, go }) => {
    await go("/open");
    await page
      .getByLabel("File of traces")
      .setInputFiles({ name: "hostile.json", mimeType: "application/json", buffer: file(1) });
    await page.getByText("shown from the file, not stored").waitFor();
    await page.getByRole("treegrid").first().waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByText("hostile.0").first().waitFor();
    expect(await page.title()).not.toBe("owned");
    expect(await page.locator("a[href^='javascript']").count()).toBe(0);
    expect(await page.locator("main img, main script").count()).toBe(0);
    await page.getByRole("button", { name: "Another file" }).click();
    await page.getByText("Drop a file here").waitFor();
  }));

test("a file of several traces lists them", () =>
  visit({}, async ({ page, go }) => {
    await go("/open");
    await page
      .getByLabel("File of traces")
      .setInputFiles({ name: "two.json", mimeType: "application/json", buffer: file(2) });
    const rows = page.locator(".opened tbody tr");
    await rows.first().waitFor();
    expect(await rows.count()).toBe(2);
    await rows.first().getByRole("button").click();
    await page.getByRole("treegrid").first().waitFor();
    await page.getByRole("button", { name: "Traces of the file" }).click();
    await rows.first().waitFor();
  }));

test("a file that is none says so", () =>
  visit({ allow: /400|415|422/ }, async ({ page, go }) => {
    await go("/open");
    await page
      .getByLabel("File of traces")
      .setInputFiles({ name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("hello") });
    await page.getByRole("alert").waitFor();
  }));
