// What the server found: each finding as a sentence with its evidence, what it costs, and the spans it is about.
import { useState } from "preact/hooks";
import type { Diagnosis, Finding } from "../api-types";
import { count, duration, percent } from "../format";
import { Glyph } from "../shell/Glyph";
import { Failure } from "../shell/Note";
import { visibleLine } from "./hostile";
import { nameOf, serviceOf } from "./model";
import { numbersIn } from "./numbers";
import type { TraceStore } from "./store";

const MOST_SPANS = 8;

export function DiagnosisTab({ store }: { store: TraceStore }) {
  const [isAll, setAll] = useState(false);
  const diagnosis = store.diagnosis.value;
  if (store.diagnosisFailure.value !== null) {
    return (
      <div class="page">
        <Failure error={store.diagnosisFailure.value} />
      </div>
    );
  }
  if (!diagnosis) return <p class="empty">Looking at the trace …</p>;
  const most = diagnosis.shown || 5;
  const findings = isAll ? diagnosis.findings : diagnosis.findings.slice(0, most);
  return (
    <section class="diagnosis" tabIndex={0} aria-label="Diagnosis">
      <div class="diagnosis-main">
        {findings.length === 0 && (
          <div class="empty">
            <p>Nothing stands out in this trace.</p>
            <p>The table says where its time went.</p>
          </div>
        )}
        {findings.map((finding, index) => (
          <FindingCard key={`${finding.rule} ${index}`} store={store} finding={finding} number={index + 1} />
        ))}
        {!isAll && diagnosis.findings.length > most && (
          <button type="button" onClick={() => setAll(true)}>
            {diagnosis.findings.length - most} more findings
          </button>
        )}
      </div>
      <Beside store={store} diagnosis={diagnosis} />
    </section>
  );
}

function FindingCard({ store, finding, number }: { store: TraceStore; finding: Finding; number: number }) {
  const [isAll, setAll] = useState(false);
  const model = store.model.value;
  if (!model) return null;
  const spans = numbersIn(model, finding.spans, finding.spanIds);
  const shown = isAll ? spans.slice(0, 200) : spans.slice(0, MOST_SPANS);
  const document = finding.doc?.replace(/^docs\//, "");
  return (
    <article class="panel finding" aria-label={visibleLine(finding.title)}>
      <header>
        <span class="finding-number">{number}</span>
        <h2>{visibleLine(finding.title)}</h2>
        <span class="grow" />
        {finding.atStakeNanos > 0 && (
          <span class="stake tabular" title="Time at stake, and its share of the trace">
            <b>{duration(finding.atStakeNanos)}</b> {percent(finding.shareOfRoot)}
          </span>
        )}
        <span class="tag" title="How sure this is">
          {finding.confidence} confidence
        </span>
      </header>
      <div class="body">
        <p class="finding-text">{visibleLine(finding.text)}</p>
        {finding.evidence.length > 0 && (
          <dl class="evidence tabular">
            {finding.evidence.map((one) => (
              <div key={one.name}>
                <dt>{one.name.replace(/[_-]/g, " ")}</dt>
                <dd>{quantity(one)}</dd>
              </div>
            ))}
          </dl>
        )}
        {spans.length > 0 && (
          <ul class="finding-spans">
            {shown.map((span) => (
              <li key={span}>
                <button
                  type="button"
                  class="quiet small inline"
                  onClick={() => {
                    store.setTab("waterfall");
                    store.open(span);
                  }}
                >
                  <i class={`dot series-${store.colours.value?.ofSpan[span] ?? 0}`} />
                  {visibleLine(serviceOf(model, span))} {visibleLine(nameOf(model, span))}{" "}
                  <span class="muted tabular">{duration(model.duration[span])}</span>
                </button>
              </li>
            ))}
            {spans.length > shown.length && (
              <li>
                <button type="button" class="quiet small inline" onClick={() => setAll(true)}>
                  {count(spans.length - shown.length)} more
                </button>
              </li>
            )}
          </ul>
        )}
        {document && (
          <p class="muted finding-doc">
            <Glyph name="info" /> How this is found, and when it is wrong: <code>{visibleLine(finding.doc)}</code>
          </p>
        )}
      </div>
    </article>
  );
}

function quantity(one: Finding["evidence"][number]): string {
  const number = Number(one.value);
  switch (one.unit) {
    case "nanos":
      return duration(number);
    case "ratio":
      return percent(number);
    case "count":
      return number.toLocaleString("en");
    default:
      return visibleLine(String(one.value)).slice(0, 600);
  }
}

/** Where the path's time went, and what took longer than usual. */
function Beside({ store, diagnosis }: { store: TraceStore; diagnosis: Diagnosis }) {
  const path = (diagnosis.pathByOperation ?? []).slice(0, 10);
  const excess = (diagnosis.excess ?? []).filter((one) => one.excessNanos > 0).slice(0, 10);
  const legend = store.colours.value?.legend;
  return (
    <div class="diagnosis-beside">
      {path.length > 0 && (
        <section class="panel" aria-label="Critical path by operation">
          <header>
            <h2>Critical path by operation</h2>
          </header>
          <ol class="shares">
            {path.map((one) => (
              <li key={`${one.service} ${one.name}`}>
                <span class="clip">
                  <i class={`dot series-${legend?.find((entry) => entry.label === one.service)?.series ?? 0}`} />{" "}
                  <strong>{visibleLine(one.service)}</strong> {visibleLine(one.name)}
                </span>
                <span class="num">{duration(one.nanos)}</span>
                <span class="num muted">{percent(one.share)}</span>
              </li>
            ))}
          </ol>
        </section>
      )}
      {excess.length > 0 && (
        <section class="panel" aria-label="Slower than usual">
          <header>
            <h2>Slower than usual</h2>
          </header>
          <ol class="shares">
            {excess.map((one) => (
              <li key={one.label}>
                <span class="clip">{visibleLine(one.label)}</span>
                <span class="num">+{duration(one.excessNanos)}</span>
                <span class="num muted">{percent(one.share)}</span>
              </li>
            ))}
          </ol>
        </section>
      )}
    </div>
  );
}
