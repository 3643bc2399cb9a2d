// The address codec: what is encoded decodes to the same view, whatever the text.

import fc from "fast-check";
import { expect, test } from "vitest";
import { decode, encode, kept, type PageName, patch, type View } from "./url";

const split = (address: string): [string, string] => {
  const at = address.indexOf("?");
  return at < 0 ? [address, ""] : [address.slice(0, at), address.slice(at)];
};

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter((value) => value.isWellFormed());
const plainPages: PageName[] = ["search", "compare", "explore", "services", "map", "live", "status", "open"];
const view: fc.Arbitrary<View> = fc.record({
  page: fc.constantFrom<PageName>(...plainPages, "trace", "service"),
  id: text,
  params: fc.dictionary(
    fc.string({ minLength: 1, maxLength: 8 }).filter((key) => key !== "__proto__" && key.isWellFormed()),
    text,
    { maxKeys: 6 },
  ),
});

test("decode is the inverse of encode", () => {
  fc.assert(
    fc.property(view, (made) => {
      const named = made.page === "trace" || made.page === "service";
      const wanted = { ...made, id: named ? made.id : "", params: { ...made.params } };
      expect(decode(...split(encode(wanted)))).toEqual(wanted);
    }),
  );
});

test("no address makes decode throw, and links survive what chat programs do", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (path, search) => void decode(path, search)));
  expect(decode("/trace/%zz", "?a=%zz").id).toBe("%zz");
  const address = encode({ page: "search", id: "", params: { q: '{ span.http.route = "/a b" }', from: "now-15m" } });
  expect(address).toBe("?q=%7B+span.http.route+%3D+%22/a+b%22+%7D&from=now-15m");
  expect(address).not.toMatch(/[\s"<>{}|]/);
});

test("pages", () => {
  const check = (path: string, page: PageName, id = "") => expect(decode(path, "")).toMatchObject({ page, id });
  check("", "search");
  check("/search", "search");
  check("trace/1f", "trace", "1f");
  check("services", "services");
  check("services/a%2Fb", "service", "a/b");
  check("nowhere/else", "missing", "nowhere/else");
  check("constructor", "missing", "constructor");
});

test("parameters", () => {
  expect(patch({ a: "1", b: "2" }, { a: "", b: undefined, c: "3" })).toEqual({ c: "3" });
  expect(kept({ q: "{}", from: "now-1h", tenant: "x", sel: "1" })).toEqual({ from: "now-1h", tenant: "x" });
  expect(decode("", "?tag=a&tag=b&q=1&q=2").params).toEqual({ tag: "a\u0000b", q: "1" });
});
