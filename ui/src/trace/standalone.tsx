// The viewer inside a saved trace: finds the data in its own page and shows it.
import { render } from "preact";
import "../tokens.css";
import "../series.css";
import "../app.css";
import type { OpenedTrace } from "../api-types";
import { memoryState } from "./address";
import { memorySource } from "./memory-source";
import { DATA_ID } from "./single-file";
import { TraceView } from "./TraceView";

const data = document.getElementById(DATA_ID)?.textContent;
const app = document.getElementById("app");
if (app && data) {
  const trace = JSON.parse(data) as OpenedTrace;
  render(<TraceView source={memorySource(trace)} state={memoryState()} />, app);
}
