// The list of requests: rows by id, newest first, and gaps between them.

import { byId, button, make } from "./dom.js";
import { count } from "./format.js";
import * as record from "./record.js";

/** Rows of the live list; the oldest go. */
const ROWS_MAX = 500;
/** More new rows at once are not marked: all of the list would be. */
const MARKED_MAX = 3;
/** With older pages that the reader asked for. */
const ROWS_WITH_OLDER_MAX = 10_000;

const body = byId("rows");

/** Entries in the order of the rows: { id, record, element } or { id, gap, element }. A gap has its newest id. */
let entries = [];
const records = new Map();
let hasOlder = false;
let openRecord = () => {};
let fillGap = () => {};

export const newestId = () => entries[0]?.id;
export const isEmpty = () => entries.length === 0;
export const find = (id) => records.get(id)?.record;
export const hasFocus = () => body.contains(document.activeElement);

export function clear() {
  entries = [];
  records.clear();
  hasOlder = false;
  body.replaceChildren();
}

/** Adds what came over the stream, oldest first. */
export function addNew(events) {
  const areMarked = entries.length > 0 && events.length <= MARKED_MAX;
  for (const event of events) {
    if (event.gap) insert(gapEntry(event.gap));
    else if (event.outcome) update(event.outcome);
    else if (!records.has(event.record.id)) {
      const entry = recordEntry(event.record);
      if (areMarked) entry.element.classList.add("new");
      insert(entry);
    }
  }
  trim();
}

/** Adds a page, newest first, which the reader asked for or the list begins with. */
export function addPage(page) {
  for (const each of page) if (!records.has(each.id)) insert(recordEntry(each));
  ensureTabStop();
}

/** Beyond these rows only what the reader asked for stays. */
export function keepOlder() {
  hasOlder = true;
}

function update(outcome) {
  const entry = records.get(outcome.id);
  if (!entry) return;
  Object.assign(entry.record, outcome);
  record.showOutcome(entry.element, entry.record);
}

function recordEntry(content) {
  return { id: content.id, record: content, element: record.row(content) };
}

function gapEntry(gap) {
  const text = gap.count == null ? "Further requests are not shown." : `${count(gap.count)} requests are not shown: more than the list follows.`;
  const entry = { id: gap.to_id, gap };
  const cell = make("td", { colSpan: 8, role: "cell" }, text, button("Show", () => fillGap(gap).then((page) => page && fill(entry, page))));
  entry.element = make("tr", { className: "gap", role: "row" }, cell);
  return entry;
}

/** Replaces a gap by its records, and by a smaller one if there are more. */
function fill(entry, page) {
  const at = entries.indexOf(entry);
  if (at < 0) return;
  entries.splice(at, 1);
  entry.element.remove();
  hasOlder = true;
  const { from_id } = entry.gap;
  const within = page.requests.filter((each) => each.id >= from_id);
  addPage(within);
  if (page.next_before != null && page.next_before > from_id) insert(gapEntry({ from_id, to_id: page.next_before - 1, count: null }));
}

/** Nearly always at the top or the bottom. */
function insert(entry) {
  let at = 0;
  if (entries.length > 0 && entry.id < entries.at(-1).id) at = entries.length;
  else while (at < entries.length && entries[at].id > entry.id) at += 1;
  const before = entries[at]?.element ?? null;
  entries.splice(at, 0, entry);
  body.insertBefore(entry.element, before);
  if (entry.record) records.set(entry.id, entry);
}

function trim() {
  const most = hasOlder ? ROWS_WITH_OLDER_MAX : ROWS_MAX;
  while (entries.length > most) {
    const last = entries.pop();
    last.element.remove();
    if (last.record) records.delete(last.id);
  }
  ensureTabStop();
}

// The keyboard: one link of the list is in the tab order, and the arrow keys move it.

const links = () => [...body.querySelectorAll("a")];

function ensureTabStop() {
  if (body.querySelector('a[tabindex="0"]')) return;
  const first = body.querySelector("a");
  if (first) first.tabIndex = 0;
}

function focusLink(link) {
  if (!link) return;
  const stop = body.querySelector('a[tabindex="0"]');
  if (stop) stop.tabIndex = -1;
  link.tabIndex = 0;
  link.focus();
}

/** The record beside this one in the list: -1 is newer, 1 is older. */
export function neighbour(id, step) {
  const ids = entries.filter((entry) => entry.record).map((entry) => entry.id);
  const at = ids.indexOf(id);
  return at < 0 ? undefined : ids[at + step];
}

export function focusRow(id) {
  focusLink(records.get(id)?.element.querySelector("a"));
}

export function start({ onOpen, onFillGap }) {
  openRecord = onOpen;
  fillGap = onFillGap;
  body.addEventListener("keydown", (event) => {
    const all = links();
    const at = all.indexOf(document.activeElement);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    focusLink(all[Math.max(0, Math.min(to, all.length - 1))]);
  });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-id]");
    // A modifier opens the link in another tab, and a selection is for copying.
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (!row || !isPlain || (!event.target.closest("a") && !getSelection().isCollapsed)) return;
    event.preventDefault();
    focusLink(row.querySelector("a"));
    openRecord(Number(row.dataset.id));
  });
}
