// Which of the series colours a span has, by service, operation, kind, status or host. By share of time and then by
// name, so that a link looks the same to everyone; no colour means anything that no word or mark says too.
import { assignColours } from "../colours";
import { KINDS, type TraceModel } from "./model";

export type ColourBy = "service" | "operation" | "kind" | "status" | "host";
export const COLOUR_BY: ColourBy[] = ["service", "operation", "kind", "status", "host"];

/** A series number for each span, and what the numbers stand for with the most time first. */
export interface Colours {
  ofSpan: Uint8Array;
  legend: { label: string; series: number; spans: number }[];
}

const STATUS = ["unset", "ok", "error"];

export function coloursBy(model: TraceModel, by: ColourBy): Colours {
  const codes = {
    service: model.service,
    operation: model.name,
    kind: model.kind,
    status: model.status,
    host: model.host,
  }[by];
  const label = (code: number): string => {
    if (by === "kind") return KINDS[code] ?? "unspecified";
    if (by === "status") return STATUS[code] ?? "unset";
    return model.strings[code] || "unknown";
  };
  const totals = new Map<number, { name: string; weight: number; spans: number }>();
  for (let span = 0; span < model.count; span++) {
    const total = totals.get(codes[span]);
    if (total) {
      total.weight += model.self[span];
      total.spans++;
    } else totals.set(codes[span], { name: label(codes[span]), weight: model.self[span], spans: 1 });
  }
  const series = assignColours([...totals.values()]);
  const seriesOf = new Map([...totals].map(([code, total]) => [code, series.get(total.name) ?? 0]));
  const ofSpan = new Uint8Array(model.count);
  for (let span = 0; span < model.count; span++) ofSpan[span] = seriesOf.get(codes[span]) ?? 0;
  const legend = [...totals.values()]
    .sort((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
    .map(({ name, spans }) => ({ label: name, series: series.get(name) ?? 0, spans }));
  return { ofSpan, legend };
}
