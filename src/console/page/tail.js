// The tail: the newest requests of the filters, live, and older ones on demand.

import { byId, setText } from "./dom.js";
import * as filters from "./filters.js";
import { count } from "./format.js";
import * as list from "./list.js";
import { get, Problem } from "./server.js";
import { Stream } from "./stream.js";

const PAGE = 100;
/** Pages that a search for rare records reads by itself; each ends after the server's read timeout. */
const SEARCHES = 20;
/** What may wait while the list is paused. */
const WAITING_MAX = 1000;
const DRAW_MS = 100;
const RETRY_MS = 2000;

const status = byId("live");
const showNew = byId("show-new");
const older = byId("older");
const end = byId("list-end");
const pauseButton = byId("pause");

let query = "";
/** Ends the requests of earlier filters. */
let abort = new AbortController();
let nextBefore;
let isSearching = false;
let connection = "connecting";
let waiting = [];
let dropped = 0;
let isPointerOver = false;
let isScrolledAway = false;
let timer;

const isPaused = () => pauseReason() !== "";

function pauseReason() {
  if (pauseButton.getAttribute("aria-pressed") === "true") return "Paused";
  if (isPointerOver) return "Paused while the pointer is over the list";
  if (list.hasFocus()) return "Paused while a row has the focus";
  if (isScrolledAway) return "Paused while the newest row is out of view";
  return "";
}

const stream = new Stream({
  opened(continues) {
    connection = "live";
    // After a new connection the list may have missed something.
    if (!continues) catchUp();
    show();
  },
  lost() {
    // A stream that never began may have a wrong filter: the list says so.
    if (connection === "connecting") search();
    connection = "lost";
    show();
  },
  request: (record) => arrive({ record }),
  outcome: (outcome) => arrive({ outcome }),
  gap: (gap) => arrive({ gap }),
});

function arrive(event) {
  waiting.push(event);
  if (waiting.length > WAITING_MAX) {
    const first = waiting.shift();
    if (!first.outcome) dropped += first.gap?.count ?? 1;
  }
  timer ??= setTimeout(draw, DRAW_MS);
}

function draw() {
  timer = undefined;
  if (!isPaused()) flush();
  show();
}

function flush() {
  if (dropped > 0) {
    const first = waiting.find((event) => event.record ?? event.gap);
    const to_id = (first?.record?.id ?? first?.gap?.from_id ?? 1) - 1;
    waiting.unshift({ gap: { from_id: (list.newestId() ?? 0) + 1, to_id, count: dropped } });
    dropped = 0;
  }
  list.addNew(waiting);
  waiting = [];
}

function show() {
  const fresh = waiting.reduce((sum, event) => sum + (event.outcome ? 0 : (event.gap?.count ?? 1)), dropped);
  showNew.hidden = fresh === 0 || !isPaused();
  setText(showNew, `Show ${count(fresh)} new`);
  status.className = `live ${statusClass()}`;
  setText(status, statusText());
  older.hidden = nextBefore == null || isSearching;
  setText(end, endText());
}

function statusText() {
  if (connection === "refused") return "Not live: a filter is wrong";
  if (!followable()) return "Not live: the filters have an end";
  if (connection === "lost") return "No connection. Trying again…";
  if (connection === "connecting") return "Connecting…";
  return pauseReason() || "Live";
}

/** "on", "lost", or neither. */
function statusClass() {
  if (connection === "lost") return "lost";
  return connection === "live" && followable() && !isPaused() ? "on" : "";
}

function endText() {
  if (isSearching) return nextBefore == null ? "Searching…" : `Searching. Looked back to id ${nextBefore}…`;
  if (nextBefore != null) return list.isEmpty() ? `Nothing found yet. Looked back to id ${nextBefore}.` : "";
  if (!list.isEmpty()) return "There are no older requests.";
  if (connection !== "live") return "";
  return filters.isEmpty()
    ? "There are no requests yet. Send one to the public address, and it appears here."
    : "No request matches. Change or clear the filters.";
}

const followable = () => !new URLSearchParams(query).has("until");

function page(before, limit = PAGE) {
  const parameters = new URLSearchParams(query);
  parameters.set("limit", limit);
  if (before != null) parameters.set("before", before);
  return get(`api/requests?${parameters}`, abort.signal).then(({ json }) => json);
}

/** Reads pages until there is a whole one, or nothing is left. */
async function search(before) {
  const { signal } = abort;
  isSearching = true;
  let found = 0;
  try {
    for (let read = 0; read < SEARCHES && found < PAGE; read += 1) {
      const answer = await page(before, PAGE - found);
      list.addPage(answer.requests);
      found += answer.requests.length;
      nextBefore = before = answer.next_before;
      filters.showProblem(null);
      if (before == null) break;
      show();
    }
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Problem && error.status === 400) {
      filters.showProblem(error);
      stream.follow(null);
      connection = "refused";
    } else {
      // Without a connection, the stream's next one reads the list.
      if (error instanceof Problem) filters.showProblem(error);
      if (!followable()) setTimeout(() => !signal.aborted && search(before), RETRY_MS);
    }
  } finally {
    if (!signal.aborted) {
      isSearching = false;
      show();
    }
  }
}

/** Reads the newest page, and begins a new list if it does not meet the old one. */
async function catchUp() {
  if (list.isEmpty()) {
    await search();
    return;
  }
  const { signal } = abort;
  try {
    const answer = await page();
    const oldest = answer.requests.at(-1)?.id;
    const meets = answer.next_before == null || (oldest ?? answer.next_before) <= list.newestId();
    if (!meets) {
      list.clear();
      nextBefore = answer.next_before;
    }
    list.addPage(answer.requests);
  } catch {
    if (!signal.aborted) setTimeout(() => !signal.aborted && catchUp(), RETRY_MS);
  }
  show();
}

function restart() {
  abort.abort();
  abort = new AbortController();
  query = filters.parameters().toString();
  list.clear();
  waiting = [];
  dropped = 0;
  nextBefore = undefined;
  isSearching = false;
  connection = "connecting";
  filters.showProblem(null);
  if (followable()) stream.follow(query);
  else {
    stream.follow(null);
    connection = "live";
    search();
  }
  show();
}

/** `onOpen(id)`: the reader opens a record. `onFilters()`: the filters have changed. */
export function start(onOpen, onFilters) {
  filters.start(() => {
    restart();
    onFilters();
  });
  list.start({
    onOpen,
    // The records of a gap, as far as one page goes.
    onFillGap: (gap) => page(gap.to_id + 1, 200).catch(() => null),
  });
  const resume = () => {
    if (!isPaused()) flush();
    show();
  };
  pauseButton.addEventListener("click", () => {
    const pressed = pauseButton.getAttribute("aria-pressed") !== "true";
    pauseButton.setAttribute("aria-pressed", String(pressed));
    resume();
  });
  // The button for new rows is above the list: on the way to it the list must not move either.
  byId("list").addEventListener("pointerenter", (event) => {
    isPointerOver = event.pointerType === "mouse";
    show();
  });
  byId("list").addEventListener("pointerleave", () => {
    isPointerOver = false;
    resume();
  });
  const rows = byId("rows");
  rows.addEventListener("focusin", show);
  // The focus arrives elsewhere after this event.
  rows.addEventListener("focusout", () => setTimeout(resume));
  const head = document.querySelector("#list thead");
  new IntersectionObserver(([seen]) => {
    isScrolledAway = !seen.isIntersecting && seen.boundingClientRect.bottom <= 0;
    resume();
  }).observe(head);
  showNew.addEventListener("click", () => {
    flush();
    byId("requests").scrollIntoView({ block: "start" });
    show();
  });
  older.addEventListener("click", () => {
    list.keepOlder();
    search(nextBefore);
  });
  restart();
}
