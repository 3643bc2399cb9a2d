// The editor's grammar takes every query that the server's parser takes, and is what the grammar file says.

import { readFileSync } from "node:fs";
import { buildParserFile } from "@lezer/generator";
import { expect, test } from "vitest";
import { parser } from "./traceql-parser.js";

/** The queries of the Rust parser's own tests: every text in quotes that stands in a list or in a call of `check`. */
function corpus(): string[] {
  const source = readFileSync("../traceql/src/parser/tests/valid.rs", "utf8");
  const out: string[] = [];
  for (const [, text = ""] of source.matchAll(/"((?:[^"\\]|\\[\s\S])*)"/g)) {
    let query: string;
    try {
      query = JSON.parse(`"${text.replace(/\\'/g, "'").replace(/\\\n\s*/g, "")}"`);
    } catch {
      continue;
    }
    // Pieces of format strings are no queries.
    if (query.includes("{text}") || query.includes("{canonical}")) continue;
    out.push(query.includes("{") || query.includes("(") ? query : `{ ${query} }`);
  }
  return out;
}

test("every valid query has no error in the tree", () => {
  const queries = corpus();
  expect(queries.length).toBeGreaterThan(300);
  for (const query of queries) {
    const wrong: string[] = [];
    parser.parse(query).iterate({
      enter: (node) => {
        if (node.type.isError) wrong.push(`${query} at ${node.from}`);
      },
    });
    expect(wrong).toEqual([]);
  }
});

test("words have the colours of what they are", () => {
  const tree = parser
    .parse('{ span.http.route = "x" && duration > 5ms && kind = server } | rate() by(name)')
    .toString();
  expect(tree).toContain("Spanset");
  for (const name of ["Attribute", "String", "Intrinsic", "Number", "Constant", "Keyword", "Parens"]) {
    expect(tree).toContain(name);
  }
});

test("the parser is generated from the grammar", () => {
  const generated = buildParserFile(readFileSync("src/editor/traceql.grammar", "utf8"), { warn: () => {} }).parser;
  expect(readFileSync("src/editor/traceql-parser.js", "utf8").trim(), "run npm run grammar").toBe(generated.trim());
});
