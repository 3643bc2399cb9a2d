// Hostile text shows what it is, and is never a link that it does not look like.
import { expect, test } from "vitest";
import { detailsOf, diagnosisOf, skeletonOf } from "../../tests/skeletons";
import { cut, linkOf, visible, visibleLine } from "./hostile";
import { singleFile } from "./single-file";
import { condition } from "./values";

test("what cannot be seen is made visible", () => {
  expect(visible("a\u202ebc")).toBe("a\\u{202e}bc");
  expect(visible("nul\u0000esc\u001b[31m")).toBe("nul\\x00esc\\x1b[31m");
  expect(visible("zero\u200bwidth\ufeff")).toBe("zero\\u{200b}width\\u{feff}");
  expect(visible("lone \ud800 half")).toBe("lone \\u{d800} half");
  expect(visible("fine 😀 ä\n\ttext")).toBe("fine 😀 ä\n\ttext");
  expect(visibleLine("two\nlines\t")).toBe("two⏎lines⇥");
  expect(visible("<script>alert(1)</script>")).toBe("<script>alert(1)</script>");
});

test("only http and https that look like themselves are links", () => {
  expect(linkOf("https://example.org/a?b=c")).toBe("https://example.org/a?b=c");
  for (const wrong of [
    "javascript:alert(1)",
    "JavaScript:alert(1)//https://example.org",
    "data:text/html,<script>",
    "https://example.org@evil.example",
    "https://exa\u202emple.org",
    " https://example.org",
    "https://example.org and more",
    "file:///etc/passwd",
    "//example.org",
  ]) {
    expect(linkOf(wrong), wrong).toBeUndefined();
  }
});

test("cuts between whole characters", () => {
  expect(cut("ab😀cd", 3)).toEqual({ text: "ab", isCut: true });
  expect(cut("abc", 3)).toEqual({ text: "abc", isCut: false });
});

test("conditions quote what they hold", () => {
  const text = (key: string, value: string) => condition("span", { key, type: "string", value }, "=");
  expect(text("http.route", "/pay")).toBe('{ span.http.route = "/pay" }');
  expect(text("odd key", 'a"b\\c\nd')).toBe('{ span."odd key" = "a\\"b\\\\c\\nd" }');
  expect(condition("resource", { key: "k8s.pod.count", type: "int", value: "3" }, "!=")).toBe(
    "{ resource.k8s.pod.count != 3 }",
  );
});

test("a saved file cannot be left by what the trace says", () => {
  const skeleton = skeletonOf({ seed: 2, spans: 5 });
  skeleton.strings[0] = "</script><script>alert(1)</script><!--";
  const trace = { skeleton, diagnosis: diagnosisOf(skeleton), spans: detailsOf(skeleton) };
  const page = singleFile("</title><script>alert(2)</script>", 'const a = "</script>";', "a{}</style>", trace);
  expect(page.match(/<script/g)).toHaveLength(2);
  expect(page.match(/<\/script>/g)).toHaveLength(2);
  expect(page).not.toContain("alert(2)</script>");
  const data = /<script type="application\/json" id="trace">(.*)<\/script>/.exec(page)?.[1] ?? "";
  expect(JSON.parse(data).skeleton.strings[0]).toBe(skeleton.strings[0]);
});
