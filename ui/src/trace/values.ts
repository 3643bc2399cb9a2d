// Attribute values as text, and as conditions of a query.
import type { Attribute } from "../api-types";

/** As the command line and the search show it: bytes as base64, lists and maps as JSON. */
export function attributeText(attribute: Attribute): string {
  const { value } = attribute;
  if (typeof value === "string") return value;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Values that a TraceQL condition can name. */
export function isComparable(attribute: Attribute): boolean {
  return ["string", "int", "double", "bool"].includes(attribute.type);
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&").replace(/\n/g, "\\n").replace(/\r/g, "\\r").replace(/\t/g, "\\t")}"`;
}

/** `{ span.http.route = "/pay" }`. */
export function condition(
  scope: "span" | "resource" | "event" | "link" | "instrumentation",
  attribute: Attribute,
  operator: "=" | "!=",
): string {
  const key = /^[\p{L}_][\p{L}\p{N}_.:/-]*$/u.test(attribute.key) ? attribute.key : quoted(attribute.key);
  const text = attributeText(attribute);
  return `{ ${scope}.${key} ${operator} ${attribute.type === "string" ? quoted(text) : text} }`;
}

/** What stands in the find box for an exact attribute. */
export function findText(attribute: Attribute): string {
  return `${attribute.key}=${attributeText(attribute)}`;
}
