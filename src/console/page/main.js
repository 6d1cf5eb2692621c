// Starts the parts of the page, and asks for figures and states again and again.

import * as charts from "./charts.js";
import * as detail from "./detail.js";
import { byId, make, setText } from "./dom.js";
import * as exporting from "./export.js";
import { secondsOf } from "./format.js";
import * as jobs from "./jobs.js";
import * as replicas from "./replicas.js";
import { get, repeat } from "./server.js";
import * as tail from "./tail.js";
import * as tiles from "./tiles.js";

const STATES_MS = 2000;
const MINUTE_MS = 5000;
const CHARTS_MS = 20_000;
/** Figures are asked for less often where they take long: they take at most this share of the time. */
const SHARE = 0.05;

let application = "daybook";
/** The server's clock is this far ahead of the browser's, in seconds. */
let clockDifference = 0;
const now = () => Date.now() / 1000 + clockDifference;

function notice(id, text, kind) {
  const shown = byId(id);
  if (text === "") shown?.remove();
  else if (shown) setText(shown, text);
  else byId("notices").append(make("p", { id, className: kind }, text));
}

async function readStates() {
  let all;
  try {
    all = await replicas.states();
  } catch {
    replicas.showLost();
    notice("notice-lost", "No connection to the server. The page tries again by itself.", "bad");
    return;
  }
  notice("notice-lost", "");
  replicas.show(all);
  const states = all.map(({ state }) => state).filter((state) => state);
  const [first] = states;
  if (!first) return;
  clockDifference = secondsOf(first.time) - Date.now() / 1000;
  application = first.application;
  document.title = `${application}: console`;
  setText(byId("application"), application);
  const off = states.filter((state) => !state.recording).map((state) => state.replica);
  notice("notice-recording", off.length === 0 ? "" : `Recording is off in replica ${off.join(", ")}: requests get responses, and no record (record = false).`, "bad");
  tiles.showStates(all);
  jobs.show(first.jobs, now());
}

/** Reads figures and shows them; waits longer after a slow response. */
function figures(milliseconds, path, show) {
  let waitUntil = 0;
  let asked;
  return repeat(milliseconds, async () => {
    const wanted = path();
    if (wanted === asked && Date.now() < waitUntil) return;
    const start = Date.now();
    try {
      const { json } = await get(wanted);
      if (wanted !== path()) return;
      show(json, now());
      asked = wanted;
      waitUntil = Date.now() + (Date.now() - start) / SHARE - milliseconds;
    } catch {
      // The replicas' states say what is wrong.
    }
  });
}

tail.start(detail.open, charts.redraw);
detail.start();
exporting.start(() => application);
charts.start(() => readCharts());
repeat(STATES_MS, readStates);
figures(MINUTE_MS, () => "api/stats?bucket=10s&since=1m&top=0", tiles.showFigures);
const readCharts = figures(CHARTS_MS, () => `api/stats?${charts.parameters()}&top=0`, charts.show);
