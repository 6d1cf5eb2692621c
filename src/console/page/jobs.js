// The jobs of all replicas: daybook's own and the application's.

import { byId, make } from "./dom.js";
import { age, secondsOf, together } from "./format.js";

let shown;

export function show(jobs, now) {
  const text = JSON.stringify([jobs, Math.floor(now / 10)]);
  if (text === shown) return;
  shown = text;
  if (jobs.length === 0) {
    byId("jobs").replaceChildren(make("p", {}, "No job has run yet. daybook's own begin a minute after the start; an application declares more with App::job."));
    return;
  }
  const head = ["Job", "State", "Last start", "Took", "Last success"].map((name) => make("th", { scope: "col" }, name));
  const ago = (time) => (time == null ? "never" : `${together(age(Math.max(0, now - secondsOf(time))))} ago`);
  const rows = jobs.map((job) => {
    const [state, kind] = stateOf(job);
    const took = job.started_at != null && job.ended_at != null ? together(age(secondsOf(job.ended_at) - secondsOf(job.started_at))) : "–";
    return make(
      "tr",
      {},
      make("td", {}, job.name),
      make("td", { className: kind }, state),
      make("td", { title: job.started_at ?? "" }, ago(job.started_at)),
      make("td", {}, took),
      make("td", { title: job.succeeded_at ?? "" }, ago(job.succeeded_at)),
    );
  });
  byId("jobs").replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)));
}

function stateOf(job) {
  if (job.started_at == null) return ["has not run yet", ""];
  if (job.error != null) return [`failed: ${job.error}`, "bad"];
  if (job.ended_at == null) return ["runs, or was interrupted", ""];
  return ["succeeded", "good"];
}
