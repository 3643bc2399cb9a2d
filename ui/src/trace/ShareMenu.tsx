// Ways to hand a trace on: a link to this view, Markdown for a ticket, the data, or one file that shows it anywhere.
import { message, text } from "../api";
import { Glyph } from "../shell/Glyph";
import { Popover } from "../shell/Popover";
import { copy, download } from "./clipboard";
import { titleOf } from "./Header";
import { singleFile } from "./single-file";
import type { TraceStore } from "./store";

/** A saved file with more spans than this opens slowly and is hard to send. */
const MAX_SAVED_SPANS = 20_000;
const BATCH = 1_000;

export function ShareMenu({ store }: { store: TraceStore }) {
  const id = store.model.value?.skeleton.traceId ?? "";
  const run = async (what: string, action: () => Promise<boolean>, done: string): Promise<void> => {
    store.said.value = what;
    try {
      store.said.value = (await action()) ? done : "The browser did not let it be copied";
    } catch (error) {
      store.said.value = message(error);
    }
  };
  return (
    <Popover
      label={
        <>
          <Glyph name="share" /> Share
        </>
      }
      title="Share"
      class="small"
    >
      {(close) => {
        const pick = (what: string, action: () => Promise<boolean>, done: string) => () => {
          close();
          void run(what, action, done);
        };
        return (
          <div class="menu">
            {!store.source.isFile && (
              <button type="button" onClick={pick("", () => copy(window.location.href), "Link copied")}>
                <Glyph name="link" /> Copy link to this view
              </button>
            )}
            <button
              type="button"
              onClick={pick("Making Markdown …", async () => copy(await markdown(store)), "Markdown copied")}
            >
              <Glyph name="copy" /> Copy as Markdown
            </button>
            <button
              type="button"
              onClick={pick(
                "Fetching …",
                async () => {
                  download(`trace-${id}.json`, "application/json", await store.source.otlp());
                  return true;
                },
                "OTLP JSON saved",
              )}
            >
              <Glyph name="file" /> Save as OTLP JSON
            </button>
            {!store.source.isFile && (
              <button type="button" onClick={pick("Making the file …", () => saveFile(store), "File saved")}>
                <Glyph name="file" /> Save as one .html file
              </button>
            )}
          </div>
        );
      }}
    </Popover>
  );
}

/** The server does not know by which address it is reached; the page does. */
async function markdown(store: TraceStore): Promise<string> {
  const words = await store.source.markdown();
  return store.source.isFile ? words : `[Open in Spanlake](${window.location.href})\n\n${words}`;
}

async function saveFile(store: TraceStore): Promise<boolean> {
  const model = store.model.value;
  if (!model) return false;
  if (model.count > MAX_SAVED_SPANS) {
    throw new Error(`A file holds at most ${MAX_SAVED_SPANS} spans; save OTLP JSON and open it instead.`);
  }
  const unstoppable = new AbortController().signal;
  const [viewer, style, diagnosis] = await Promise.all([
    asset("viewer.js"),
    asset("viewer.css"),
    store.diagnosis.value ?? store.source.diagnosis(unstoppable),
  ]);
  const spans = [];
  for (let from = 0; from < model.count; from += BATCH) {
    spans.push(...(await store.source.details(model.ids.slice(from, from + BATCH))));
  }
  const { service, name } = titleOf(store);
  const page = singleFile(`${service} ${name}`, viewer, style, { skeleton: model.skeleton, diagnosis, spans });
  download(`trace-${model.skeleton.traceId}.html`, "text/html", page);
  return true;
}

function asset(name: string): Promise<string> {
  return text(`assets/${name}`);
}
