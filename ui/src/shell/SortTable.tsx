// A table whose columns can be sorted; the order is in the address as `sort=name` or `sort=-name`.

import type { ComponentChildren } from "preact";
import { param, setParams } from "../state";
import { Glyph } from "./Glyph";

export interface Column<Row> {
  /** Stands in the address. */
  key: string;
  head: string;
  /** The head is for screen readers only. */
  hideHead?: boolean;
  title?: string;
  /** A class with the width. */
  class?: string;
  number?: boolean;
  /** What it is sorted by; without, it cannot be. */
  by?: (row: Row) => number | string | undefined;
  cell: (row: Row) => ComponentChildren;
}

interface Props<Row> {
  rows: readonly Row[];
  columns: Column<Row>[];
  rowKey: (row: Row) => string;
  /** Key of the address; several tables on a page need several. */
  param?: string;
  /** Order while the address has none: as in the address. */
  initial: string;
  label: string;
}

/** What is absent comes before everything. */
export function compare(
  a: number | string = Number.NEGATIVE_INFINITY,
  b: number | string = Number.NEGATIVE_INFINITY,
): number {
  if (a === b) return 0;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

export function SortTable<Row>({ rows, columns, rowKey, param: key = "sort", initial, label }: Props<Row>) {
  const order = param(key) || initial;
  const down = order.startsWith("-");
  const chosen = columns.find((column) => column.key === order.replace(/^-/, "") && column.by);
  const by = chosen?.by;
  const sorted = by
    ? [...rows].sort((a, b) => (down ? -1 : 1) * compare(by(a), by(b)) || (rowKey(a) < rowKey(b) ? -1 : 1))
    : rows;
  const choose = (column: Column<Row>) => {
    const first = column.number ? `-${column.key}` : column.key;
    const second = column.number ? column.key : `-${column.key}`;
    const next = order === first ? second : first;
    setParams({ [key]: next === initial ? undefined : next }, "replace");
  };
  return (
    <div class="scroll-x">
      <table class="grid" aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                title={column.title}
                class={`${column.class ?? ""} ${column.number ? "num" : ""}`}
                aria-sort={column === chosen ? (down ? "descending" : "ascending") : undefined}
              >
                {column.by ? (
                  <button type="button" onClick={() => choose(column)}>
                    {column.head}
                    {column === chosen && <Glyph name={down ? "down" : "up"} />}
                  </button>
                ) : (
                  <span class={column.hideHead ? "hidden-text" : ""}>{column.head}</span>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((column) => (
                <td key={column.key} class={column.number ? "num" : ""}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
