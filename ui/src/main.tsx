// Starts the page.

import { render } from "preact";
import "./tokens.css";
import "./series.css";
import "./app.css";
import "./chart/chart.css";
import "./compare/compare.css";
import "./explore/explore.css";
import "./live/live.css";
import "./map/map.css";
import "./open/open.css";
import "./query/query.css";
import "./services/services.css";
import "./status/status.css";
import "./search/search.css";
import { Shell } from "./shell/Shell";

const root = document.getElementById("app");
if (root) render(<Shell />, root);
