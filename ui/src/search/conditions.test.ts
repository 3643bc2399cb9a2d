// Splitting queries into chips and putting them together again.

import { expect, test } from "vitest";
import { add, equals, field, has, join, quote, remove, replaceWhere, split } from "./conditions";

test("splits one pair of braces at its outermost ands", () => {
  const check = (query: string, conditions: string[] | undefined, rest = "") =>
    expect(split(query), query).toEqual(conditions && { conditions, rest });
  check("", []);
  check("{}", []);
  check("{ status = error }", ["status = error"]);
  check('{ a.b = "x && }" && (c = 1 || d = 2) }', ['a.b = "x && }"', "(c = 1 || d = 2)"]);
  check("{ a = 1 || b = 2 && c = 3 }", ["a = 1 || b = 2 && c = 3"]);
  check("{ .a = `\\` && .b = 1 }", [".a = `\\`", ".b = 1"]);
  check("{ .a = 1 } | select(span.b)", [".a = 1"], "| select(span.b)");
  check("{ .a = 1 } with(most_recent=true)", [".a = 1"], "with(most_recent=true)");
  for (const beyond of [
    "{ .a = 1 } && { .b = 2 }",
    "{ .a = 1 } || { }",
    "{ .a",
    '{ .a = "',
    "x",
    "{ && }",
    "{ .a = 1 && }",
  ]) {
    check(beyond, undefined);
  }
});

test("adds, removes, replaces", () => {
  expect(add("", "status = error")).toBe("{ status = error }");
  expect(add("{status=error}", "status = error")).toBe("{status=error}");
  expect(add("{ .a = 1 || .b = 2 }", "status = error")).toBe("{ (.a = 1 || .b = 2) && status = error }");
  expect(remove("{ .a = 1 && status=error } | count() > 1", "status = error")).toBe("{ .a = 1 } | count() > 1");
  expect(remove("{ .a = 1 }", ".a=1")).toBe("{ }");
  expect(replaceWhere("{ duration > 1s && .a = 1 }", /^duration\s*>/, "duration > 2s")).toBe(
    "{ .a = 1 && duration > 2s }",
  );
  expect(add("{ .a = 1 } >> { .b = 2 }", "status = error")).toBe("{ .a = 1 } >> { .b = 2 }");
  expect(has("{ kind=server }", "kind = server")).toBe(true);
});

test("joined pieces split into the same pieces", () => {
  for (const query of ["{ }", "{ .a = 1 && .b = 2 }", "{ (.a = 1 || .b = 2) && .c = 3 } | select(.d)"]) {
    const parts = split(query);
    expect(parts && join(parts)).toBe(query);
  }
});

test("literals", () => {
  expect(quote('a"b\\c\n')).toBe('"a\\"b\\\\c\\n"');
  expect(field("span", "http.route")).toBe("span.http.route");
  expect(field("span", "odd name")).toBe('span."odd name"');
  expect(equals("resource", "service.name", "pay", "string")).toBe('resource.service.name = "pay"');
  expect(equals("intrinsic", "status", "error", "string")).toBe("status = error");
  expect(equals("span", "n", 5, "int", true)).toBe("span.n != 5");
  expect(equals("span", "n", null, "string")).toBe("span.n = nil");
});
