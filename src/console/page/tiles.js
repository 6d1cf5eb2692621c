// The tiles: what an operator looks at first.

import { byId, make, setText } from "./dom.js";
import { age, bytes, count, duration, rate, secondsOf, together } from "./format.js";

const tiles = new Map();

function tile(name, label) {
  const value = make("dd", { className: "value" });
  const note = make("dd", { className: "note" });
  const element = make("div", { className: "tile unknown" }, make("dt", {}, label), value, note);
  byId("tiles").append(element);
  tiles.set(name, { element, value, note });
}

/** `level`: "", "unknown", "warn" or "bad". */
function set(name, [number, unit], note, level = "") {
  const shown = tiles.get(name);
  shown.element.className = `tile ${level}`;
  const text = `${number} ${unit}`;
  if (shown.value.dataset.text !== text) {
    shown.value.dataset.text = text;
    shown.value.replaceChildren(number, unit ? make("small", {}, ` ${unit}`) : "");
  }
  setText(shown.note, note);
  shown.note.title = note;
}

for (const [name, label] of [
  ["requests", "Requests"],
  ["errors", "Errors"],
  ["latency", "Latency (p50)"],
  ["queue", "Queue"],
  ["commits", "Commits"],
  ["wal", "Log (WAL)"],
  ["disk", "Disk free"],
  ["oldest", "Oldest record"],
  ["backup", "Newest copy"],
  ["restore", "Last proved restore"],
]) tile(name, label);

const LAST_MINUTE = "last minute";

/** The figures of the last minute. `now` is the server's time. */
export function showFigures(stats, now) {
  const { requests, status, duration_us: latency } = stats.total;
  const seconds = Math.max(1, Math.min(now, secondsOf(stats.until)) - secondsOf(stats.since));
  set("requests", [rate(requests / seconds), "/s"], `${count(requests)} in the ${LAST_MINUTE}`);
  const failed = status["5xx"];
  const share = requests === 0 ? 0 : (100 * failed) / requests;
  const note = `${count(failed)} of 5xx, ${count(status["4xx"])} of 4xx`;
  set("errors", [share === 0 ? "0" : share < 0.01 ? "< 0.01" : share.toFixed(share < 10 ? 2 : 0), "%"], note, failed > 0 ? (share >= 1 ? "bad" : "warn") : "");
  if (latency) set("latency", duration(latency.p50), `p99 ${together(duration(latency.p99))}`);
  else set("latency", ["–", ""], "no request in the last minute", "unknown");
}

/** What the replicas say. */
export function showStates(replicas) {
  const states = replicas.map(({ state }) => state).filter((state) => state);
  if (states.length === 0) return;
  const sum = (each) => states.reduce((total, state) => total + each(state), 0);
  const [first] = states;
  const now = secondsOf(first.time);

  const [queue, most] = [sum((state) => state.queue.records), sum((state) => state.queue.records_max)];
  const rejected = sum((state) => state.requests.rejected_total);
  const inFlight = sum((state) => state.requests.in_flight);
  set(
    "queue",
    [count(queue), queue === 1 ? "record" : "records"],
    rejected === 0 ? `${count(inFlight)} ${inFlight === 1 ? "request" : "requests"} in flight` : `${count(rejected)} rejected with 503 since the start`,
    queue > most / 2 ? "bad" : queue > most / 10 ? "warn" : "",
  );

  const rates = replicas.map((replica) => replica.rates).filter((each) => each);
  const commits = rates.reduce((total, each) => total + each.commits, 0);
  const records = rates.reduce((total, each) => total + each.records, 0);
  if (rates.length === 0) set("commits", ["–", ""], "", "unknown");
  else set("commits", [rate(commits), "/s"], commits > 0 ? `${(records / commits).toFixed(1)} records each` : "none now");

  set("wal", bytes(first.database.wal_bytes), `database ${together(bytes(first.database.bytes))}`, first.database.wal_bytes > 1e9 ? "warn" : "");
  const { free_bytes: free, total_bytes: total } = first.disk;
  const left = total > 0 ? free / total : 1;
  set("disk", bytes(free), total > 0 ? `${Math.round(left * 100)} % of ${together(bytes(total))}` : "", left < 0.05 ? "bad" : left < 0.15 ? "warn" : "");

  setAge("oldest", first.retention.oldest, now, "there are no records");
  setAge("backup", first.backup?.time ?? null, now, "not known yet");
  setAge("restore", first.restore?.time ?? null, now, "not known yet");
}

function setAge(name, time, now, without) {
  if (time == null) {
    set(name, [without, ""], "", "unknown");
    return;
  }
  const [number, unit] = age(Math.max(0, now - secondsOf(time)));
  set(name, [number, `${unit} old`], `${time.slice(0, 19).replace("T", " ")} UTC`);
}
