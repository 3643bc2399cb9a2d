// A number with its name, and small tables of numbers.

import { Glyph } from "../shell/Glyph";

export function Fact({ name, value, more, bad }: { name: string; value: string; more: string; bad?: string }) {
  return (
    <div class={`panel fact ${bad ? "bad" : ""}`}>
      <h2>{name}</h2>
      <p class="fact-value tabular">{value}</p>
      <p class="muted clip-2" title={more}>
        {more}
      </p>
      {bad && (
        <p class="error-text">
          <Glyph name="warning" /> {bad}
        </p>
      )}
    </div>
  );
}

interface Props {
  title: string;
  note?: string;
  heads: string[];
  rows: string[][];
  /** Whether the later columns are text as well. */
  isText?: boolean;
}

export function Facts({ title, note, heads, rows, isText }: Props) {
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        {note && <span class="muted">{note}</span>}
      </header>
      <table class="grid">
        <thead>
          <tr>
            {heads.map((head, at) => (
              <th key={head} scope="col" class={at > 0 && !isText ? "num" : ""}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, line) => (
            <tr key={`${row[0]} ${line}`}>
              {row.map((cell, at) => (
                <td key={at} class={at > 0 && !isText ? "num" : ""} title={cell}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
