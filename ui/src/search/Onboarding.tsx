// No spans at all yet: how to send some, and how to see the page with data made up for it.

import { useEffect } from "preact/hooks";
import type { Status } from "../api-types";
import { Glyph } from "../shell/Glyph";
import { Link } from "../shell/Link";
import { learn } from "../shell/server";
import { refreshed } from "../state";

/** Whether the server has never had a span, as far as it says. */
export function isEmptyStore(status: Status | undefined): boolean {
  if (!status?.ingest && !status?.blocks) return false;
  const stored = (status.blocks?.levels ?? []).reduce((sum, level) => sum + level.spans, 0);
  return stored === 0 && (status.ingest?.spansTotal ?? 0) === 0;
}

/** How often a store without spans is looked at again. */
const LOOK_AGAIN_MILLIS = 2_000;

export function Onboarding() {
  const host = window.location.hostname.includes(":") ? `[${window.location.hostname}]` : window.location.hostname;
  useEffect(() => {
    const timer = setInterval(() => void learn().then(() => refreshed.value++), LOOK_AGAIN_MILLIS);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="page onboarding">
      <h1>No spans yet</h1>
      <p class="muted" role="status">
        This page looks again every two seconds and shows the first trace as soon as it is there.
      </p>
      <ol>
        <li class="panel">
          <h2>From an application with an OpenTelemetry SDK</h2>
          <Command
            text={`export OTEL_EXPORTER_OTLP_ENDPOINT=http://${host}:4318\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nexport OTEL_SERVICE_NAME=my-service`}
          />
          <p class="muted">Start the application with these; gRPC is on port 4317.</p>
        </li>
        <li class="panel">
          <h2>From a collector</h2>
          <Command
            text={`exporters:\n  otlp_http/spanlake:\n    endpoint: http://${host}:4318\nservice:\n  pipelines:\n    traces:\n      exporters: [otlp_http/spanlake]`}
          />
        </li>
        <li class="panel">
          <h2>One span by hand</h2>
          <Command text={`spanlake send`} />
          <p class="muted">Proves that spans arrive from where you are.</p>
        </li>
      </ol>
      <p>
        Only looking? <code>spanlake serve --demo</code> starts with a shop of made-up services and planted faults. Or{" "}
        <Link page="open">open a file of traces</Link>: it is shown and not stored.
      </p>
    </div>
  );
}

function Command({ text }: { text: string }) {
  return (
    <div class="command">
      <pre>{text}</pre>
      <button
        type="button"
        class="quiet icon"
        title="Copy"
        aria-label="Copy the command"
        onClick={() => void navigator.clipboard?.writeText(text)}
      >
        <Glyph name="copy" />
      </button>
    </div>
  );
}
