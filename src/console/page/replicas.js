// Asks every replica for its state, and shows which are ready. Behind HAProxy the first response names the replicas; without it
// there is one, the one that the page comes from.

import { byId, make } from "./dom.js";
import { get } from "./server.js";

const HAPROXY_REPLICAS = "daybook-replicas";

/** The names of the replicas behind HAProxy; null without it, undefined while it is not known. */
let names;
const previous = new Map();

/** { name, state, reason, commits }: `state` is missing if the replica did not say it. */
async function one(name) {
  const base = name == null ? "" : `replica/${encodeURIComponent(name)}/`;
  try {
    const { json, headers } = await get(`${base}api/state`);
    return { name: json.replica, state: json, reason: json.ready ? "" : json.reason, rates: rates(json), headers };
  } catch (error) {
    return { name, reason: error.status == null ? "no connection" : await readiness(base) };
  }
}

/** Why a replica gives no state: it may not be able to read the database, or there is none. */
async function readiness(base) {
  try {
    const response = await fetch(`${base}readyz`, { cache: "no-store" });
    const text = (await response.text()).trim();
    if (response.ok) return "its state cannot be read";
    return text === "no replica is ready" ? "it does not run" : text;
  } catch {
    return "no connection";
  }
}

/** Per second since the last time; null at first, and after a restart. */
function rates(state) {
  const now = { time: Date.parse(state.time), commits: state.commits.total, records: state.commits.records_total };
  const before = previous.get(state.replica);
  previous.set(state.replica, now);
  const seconds = before ? (now.time - before.time) / 1000 : 0;
  if (seconds <= 0 || now.commits < before.commits) return null;
  return { commits: (now.commits - before.commits) / seconds, records: (now.records - before.records) / seconds };
}

/** The state of each replica. Fails if the server cannot be reached at all. */
export async function states() {
  if (names === undefined) {
    const { headers } = await get("api/state");
    const listed = headers.get(HAPROXY_REPLICAS);
    names = listed == null ? null : listNames(listed);
  }
  const all = await Promise.all(names == null ? [one(null)] : names.map(one));
  if (all.every(({ reason, state }) => !state && reason === "no connection")) {
    // There may be others when it is back.
    names = undefined;
    throw new Error("no connection");
  }
  return all;
}

/** "3 next" are the replicas 1, 2, 3 and next. */
function listNames(text) {
  const [number, ...others] = text.split(" ");
  return [...Array.from({ length: Number(number) }, (_, index) => String(index + 1)), ...others];
}

export function show(replicas) {
  const chips = replicas.map(({ name, reason, state }) => {
    const label = name == null ? "Replica" : name === "next" ? "Canary" : `Replica ${name}`;
    return make("li", { className: reason ? "chip bad" : "chip", title: state ? `daybook ${state.version}` : "" }, reason ? `${label}: ${reason}` : `${label}: ready`);
  });
  const list = byId("replicas");
  const text = chips.map((chip) => chip.textContent).join();
  if (text !== list.dataset.text) {
    list.dataset.text = text;
    list.replaceChildren(...chips);
  }
}

export function showLost() {
  const list = byId("replicas");
  list.dataset.text = "";
  list.replaceChildren(make("li", { className: "chip bad" }, "No connection"));
}
