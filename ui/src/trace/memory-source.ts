// A trace that is only in memory: opened from a file, or inlined in a page that was saved. Finds as the server does,
// but for TraceQL, which only the server reads.
import type { Attribute, FindResult, OpenedTrace, SpanDetail } from "../api-types";
import { duration, percent } from "../format";
import { otlpJson } from "./otlp";
import type { TraceSource } from "./source";
import { attributeText } from "./values";

export function memorySource(trace: OpenedTrace): TraceSource {
  const { skeleton, diagnosis } = trace;
  const details = new Map(trace.spans.map((span) => [span.id, span]));
  return {
    isFile: true,
    skeleton: async () => skeleton,
    diagnosis: async () => diagnosis,
    details: async (ids) => ids.flatMap((id) => details.get(id) ?? []),
    find: async (text) => find(trace, details, text),
    backlinks: async () => ({ links: [], truncated: false }),
    standing: async () => undefined,
    markdown: async () => markdown(trace),
    otlp: async () => otlpJson(skeleton.traceId, trace.spans),
  };
}

function find(trace: OpenedTrace, details: Map<string, SpanDetail>, text: string): FindResult {
  const matches = matcher(text);
  const spans: number[] = [];
  const ids: string[] = [];
  trace.skeleton.spans.id.forEach((id, number) => {
    const detail = details.get(id);
    if (!detail || !matches(detail)) return;
    spans.push(number);
    ids.push(id);
  });
  return { spans, ids, total: spans.length };
}

function* attributesOf(span: SpanDetail): Generator<Attribute> {
  yield* span.attributes ?? [];
  yield* span.resource ?? [];
  yield* span.scope?.attributes ?? [];
  for (const event of span.events ?? []) yield* event.attributes ?? [];
}

function matcher(text: string): (span: SpanDetail) => boolean {
  if (text.startsWith("{")) throw new Error("A file has no query engine: type a text, /re/ or key=value.");
  const anyText = (test: (text: string) => boolean) => (span: SpanDetail) =>
    test(span.service) ||
    test(span.name) ||
    test(span.status?.message ?? "") ||
    (span.events ?? []).some((event) => test(event.name)) ||
    [...attributesOf(span)].some((attribute) => test(`${attribute.key}=${attributeText(attribute)}`));
  const expression = /^\/(.+)\/$/.exec(text);
  if (expression) {
    const compiled = new RegExp(expression[1]);
    return anyText((one) => compiled.test(one));
  }
  const exact = /^([\w.:/-]+)=(.+)$/.exec(text);
  if (exact) {
    const [, key, value] = exact;
    if (key === "status") return (span) => span.status?.code === value;
    return (span) => [...attributesOf(span)].some((one) => one.key === key && attributeText(one) === value);
  }
  const lower = text.toLowerCase();
  return anyText((one) => one.toLowerCase().includes(lower));
}

function markdown({ skeleton, diagnosis }: OpenedTrace): string {
  const { strings, spans } = skeleton;
  const top =
    skeleton.root >= 0 ? `${strings[spans.service[skeleton.root]]} ${strings[spans.name[skeleton.root]]}` : "";
  const head = `**${top || skeleton.traceId}** ${duration(skeleton.durationNanos)}, ${skeleton.spanCount} spans, ${skeleton.errorCount} errors, trace \`${skeleton.traceId}\``;
  const findings = diagnosis.findings.map(
    (finding) => `- ${finding.text} (${finding.confidence}, ${percent(finding.shareOfRoot)} of the trace)`,
  );
  return [head, "", ...findings, ""].join("\n");
}
