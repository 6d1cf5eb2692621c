// How one record looks: in a row of the list, and in the detail.

import { make } from "./dom.js";
import { count, dateAndTime, duration } from "./format.js";

export const linkTo = (id) => `?id=${id}`;

/** "2xx", or "none" while the status is not known. */
export const statusClass = (status) => (status == null ? "none" : `${Math.floor(status / 100)}xx`);

function timeCell(timestamp) {
  if (timestamp == null) return make("td", CELL, "–");
  const [date, time] = dateAndTime(timestamp);
  return make(
    "td",
    { ...CELL, title: timestamp },
    make("span", { className: "date" }, `${date.slice(5)} `),
    time.slice(0, 8),
    make("span", { className: "unit fraction" }, time.slice(8)),
  );
}

/** Roles, because a narrow page lays the table out as a grid. */
const CELL = { role: "cell" };

/** The row of a record. Its link is what the keyboard reaches. */
export function row(record) {
  const link = make("a", { href: linkTo(record.id), tabIndex: -1 }, record.path);
  const element = make(
    "tr",
    { role: "row" },
    timeCell(record.timestamp),
    make("td", CELL),
    make("td", CELL, record.method),
    make("td", { ...CELL, title: record.path.slice(0, 1000) }, link),
    make("td", { ...CELL, className: "number" }),
    make("td", { ...CELL, className: "number wide" }, count(record.content_length)),
    make("td", { ...CELL, className: "wide", title: record.remote_addr ?? "" }, record.remote_addr ?? "–"),
    make("td", { ...CELL, className: "number wide" }, String(record.id)),
  );
  element.dataset.id = record.id;
  showOutcome(element, record);
  return element;
}

/** Status and duration, which can come later than the rest. */
export function showOutcome(element, { status, duration_us }) {
  const cell = element.children[1];
  cell.className = `status s${statusClass(status)}`;
  cell.textContent = status ?? "–";
  const [number, unit] = duration(duration_us);
  element.children[4].replaceChildren(number, make("span", { className: "unit" }, unit && ` ${unit}`));
}

/** Name and value of each field. */
export function fields(record) {
  const [date, time] = record.timestamp == null ? ["not", "known"] : dateAndTime(record.timestamp);
  return [
    ["Id", String(record.id)],
    ["Time", `${date} ${time} UTC`],
    ["Status", record.status == null ? "not known: no response was sent, or the process ended first" : String(record.status)],
    ["Duration", record.duration_us == null ? "not known" : `${count(record.duration_us)} µs`],
    ["Method", record.method],
    ["Path", record.path],
    ["Body", `${count(record.content_length)} bytes`],
    ["Address", record.remote_addr ?? "none: the client came over a unix socket"],
  ];
}
