// Two charts over time: requests per second by status, and latency. uPlot draws them.

/* global uPlot */

import { byId, make, setText } from "./dom.js";
import * as filters from "./filters.js";
import { clock, count, dateAndTime, duration, rate, secondsOf, together, wholeSeconds } from "./format.js";

/** The time in the charts, and the parameters of its figures. */
const RANGES = {
  "1h": { name: "last hour", parameters: "bucket=1m&since=1h", step: 60 },
  "24h": { name: "last day", parameters: "bucket=5m&since=24h", step: 300 },
  "7d": { name: "last 7 days", parameters: "bucket=1h&since=7d", step: 3600 },
};
const FIRST = "1h";
/** Before, a rate says little. */
const FILLED_SECONDS = 10;

const CLASSES = ["2xx", "3xx", "4xx", "5xx", "1xx", "none"];
const QUANTILES = ["p50", "p90", "p99"];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

let range = FIRST;
let charts = [];

export const parameters = () => RANGES[range].parameters;

const latency = (value) => together(duration(value));

/** Round numbers need no zeros after the point. */
const short = (text) => text.replace(/\.0+(?=\D|$)/, "");

/** `splits` is where the lines of the vertical axis are; without it uPlot decides. */
function axes(format, splits) {
  const common = { stroke: () => color("muted"), grid: { stroke: () => color("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return [
    { ...common, size: 26, space: 60, values: (_, splits) => splits.map(clock) },
    // The filter keeps labels that uPlot would leave out on a logarithmic axis.
    { ...common, size: 58, space: 34, splits, filter: (_, at) => at, values: (_, at) => at.map((value) => short(format(value))) },
  ];
}

class Chart {
  constructor(id, { names, label, color: colorOf, values, stacked, scale, splits, format, summary }) {
    this.figure = byId(id);
    this.plot = this.figure.querySelector(".plot");
    this.legend = this.figure.querySelector(".legend");
    Object.assign(this, { names, label, colorOf, values, stacked, format, summary });
    this.caption = this.figure.querySelector("figcaption").textContent;
    this.plot.setAttribute("role", "img");
    this.options = {
      width: 300,
      height: 200,
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      padding: [8, 18, 0, 0],
      cursor: { drag: { x: true, y: false, setScale: false }, points: { show: !stacked }, y: false },
      scales: { x: { time: true }, y: scale },
      axes: axes(format, splits),
      // The last series is drawn on top, so a stack begins with its top.
      series: [{}, ...drawOrder(names, stacked).map((name) => ({ stroke: () => color(colorOf(name)), fill: stacked ? () => color(colorOf(name)) : undefined, width: stacked ? 0 : 2, points: { show: false }, spanGaps: false }))],
      hooks: {
        setCursor: [(u) => this.showLegend(u.cursor.idx)],
        setSelect: [(u) => this.select(u)],
        drawClear: [(u) => this.markSelected(u)],
      },
    };
    new ResizeObserver(([{ contentRect }]) => this.u?.setSize({ width: contentRect.width, height: contentRect.height })).observe(this.plot);
  }

  show(buckets) {
    this.buckets = buckets;
    const times = buckets.map((bucket) => secondsOf(bucket.start));
    const rows = this.names.map((name) => buckets.map((bucket) => this.values(bucket, name)));
    const drawn = drawOrder(this.stacked ? stack(rows) : rows, this.stacked);
    const data = [times, ...drawn];
    const size = { width: this.plot.clientWidth || 300, height: this.plot.clientHeight || 200 };
    if (this.u) this.u.setData(data);
    else this.u = new uPlot({ ...this.options, ...size }, data, this.plot);
    const total = buckets.reduce((sum, bucket) => sum + bucket.requests, 0);
    this.plot.querySelector(".empty")?.remove();
    if (total === 0) this.plot.append(make("p", { className: "empty" }, "No requests in this time."));
    this.showLegend(null);
    this.plot.setAttribute("aria-label", `${this.caption}, ${RANGES[range].name}: ${this.summary(buckets)}`);
  }

  /** The values at the pointer, or of the newest bucket. */
  showLegend(index) {
    const bucket = this.buckets?.[index ?? this.buckets.length - 1];
    if (!bucket) return;
    const [date, time] = dateAndTime(bucket.start);
    const texts = this.names
      .map((name) => [name, this.values(bucket, name)])
      // A status that never occurs takes no room.
      .filter(([name]) => !this.stacked || name === "2xx" || this.buckets.some((each) => each.status[name] > 0));
    const items = texts.map(([name, value]) => {
      const swatch = make("i");
      swatch.style.background = `var(--${this.colorOf(name)})`;
      return make("li", {}, swatch, `${this.label(name)} `, make("b", {}, value == null ? "–" : this.format(value)));
    });
    items.push(make("li", {}, range === "1h" ? time.slice(0, 5) : `${date.slice(5)} ${time.slice(0, 5)}`));
    this.legend.replaceChildren(...items);
  }

  /** A drag filters the list by its time. */
  select(u) {
    if (u.select.width < 3) return;
    const [since, until] = [u.select.left, u.select.left + u.select.width].map((at) => u.posToVal(at, "x"));
    u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    filters.set({ since: wholeSeconds(Math.floor(since)), until: wholeSeconds(Math.ceil(until)) });
    byId("requests").scrollIntoView({ block: "nearest" });
  }

  /** Shows which time the list is filtered by. */
  markSelected(u) {
    const given = filters.parameters();
    const at = (name) => Date.parse(given.get(name)) / 1000;
    const [since, until] = [at("since"), at("until")];
    if (Number.isNaN(since) && Number.isNaN(until)) return;
    const { left, width, top, height } = u.bbox;
    const position = (time, otherwise) => (Number.isNaN(time) ? otherwise : Math.max(left, Math.min(left + width, u.valToPos(time, "x", true))));
    const from = position(since, left);
    const to = position(until, left + width);
    u.ctx.save();
    u.ctx.fillStyle = color("accent-weak");
    u.ctx.fillRect(from, top, Math.max(1, to - from), height);
    u.ctx.restore();
  }

  redraw() {
    this.u?.redraw(false);
  }
}

const drawOrder = (all, stacked) => (stacked ? all.toReversed() : all);

/** Sums from below: the first row stays as it is. */
function stack(rows) {
  const below = rows[0].map(() => 0);
  return rows.map((row) => row.map((value, index) => (below[index] += value)));
}

function scaleFromZero(_, __, most) {
  return [0, most > 0 ? most * 1.08 : 1];
}

/** Whole powers of ten around the values. */
function logScale(_, least, most) {
  if (least == null || most == null || least <= 0) return [100, 100_000];
  const low = 10 ** Math.floor(Math.log10(least));
  const high = 10 ** Math.ceil(Math.log10(most));
  return [low, high > low ? high : low * 10];
}

/** Lines at powers of ten, and between them if there are few. */
function logSplits(_, __, low, high) {
  const steps = high / low <= 100 ? [1, 2, 5] : [1];
  const splits = [];
  for (let power = low; power <= high; power *= 10) splits.push(...steps.map((step) => step * power));
  return splits.filter((value) => value <= high * 1.001);
}

function create() {
  const requests = new Chart("chart-requests", {
    names: CLASSES,
    label: (name) => (name === "none" ? "not known" : name),
    color: (name) => `c${name}`,
    values: (bucket, name) => bucket.status[name] / bucket.seconds,
    stacked: true,
    scale: { range: scaleFromZero },
    format: (value) => rate(value),
    summary: (buckets) => {
      const rates = buckets.map((bucket) => bucket.requests / bucket.seconds);
      return `${rate(rates.at(-1) ?? 0)} at the end, ${rate(Math.max(0, ...rates))} at most, ${count(buckets.reduce((sum, each) => sum + each.status["5xx"], 0))} responses of 5xx`;
    },
  });
  const latencies = new Chart("chart-latency", {
    names: QUANTILES,
    label: (name) => name,
    color: (name) => name,
    values: (bucket, name) => (bucket.duration_us ? Math.max(1, bucket.duration_us[name]) : null),
    stacked: false,
    scale: { distr: 3, range: logScale },
    splits: logSplits,
    format: latency,
    summary: (buckets) => {
      const last = buckets.findLast((bucket) => bucket.duration_us)?.duration_us;
      return last ? `at the end p50 ${latency(last.p50)}, p99 ${latency(last.p99)}` : "not known";
    },
  });
  return [requests, latencies];
}

/** Shows the figures that `parameters` asked for. The last bucket counts once it has filled for a while. */
export function show(stats, now) {
  const { step } = RANGES[range];
  const buckets = [];
  for (const bucket of stats.buckets) {
    const seconds = Math.min(step, now - secondsOf(bucket.start));
    if (seconds >= FILLED_SECONDS) buckets.push({ ...bucket, seconds });
  }
  for (const chart of charts) chart.show(buckets);
  setText(byId("charts-note"), stats.complete ? "" : `Requests before ${stats.since.slice(0, 16).replace("T", " ")} UTC are not added up yet.`);
}

export function start(onRange) {
  charts = create();
  const given = filters.pageParameter("range");
  if (given in RANGES) range = given;
  const buttons = [...byId("ranges").querySelectorAll("button")];
  const press = () => buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.range === range)));
  press();
  for (const button of buttons) {
    button.addEventListener("click", () => {
      range = button.dataset.range;
      filters.setPageParameter("range", range === FIRST ? null : range);
      press();
      onRange();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

export const redraw = () => charts.forEach((chart) => chart.redraw());
