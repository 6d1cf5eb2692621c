// One request with all its fields, and a link to it.

import { button, byId, copy, make } from "./dom.js";
import * as filters from "./filters.js";
import * as list from "./list.js";
import { fields, linkTo, statusClass } from "./record.js";
import { get, Problem } from "./server.js";

const dialog = byId("detail");
const content = byId("detail-body");
let shownId;

/** Opens the detail of this id. */
export async function open(id) {
  shownId = id;
  filters.setPageParameter("id", id);
  byId("detail-title").textContent = `Request ${id}`;
  for (const [name, step] of [["newer", -1], ["older", 1]]) byId(`detail-${name}`).disabled = list.neighbour(id, step) === undefined;
  if (!dialog.open) dialog.showModal();
  const known = list.find(id);
  if (known?.status != null) {
    show(known);
    return;
  }
  if (known) show(known);
  else content.replaceChildren(make("p", {}, "Loading…"));
  try {
    const { json } = await get(`api/requests/${encodeURIComponent(id)}`);
    if (shownId === id) show(json);
  } catch (error) {
    if (shownId !== id || known) return;
    const text = error instanceof Problem && error.status === 404 ? `There is no request ${id}: it was never there, or retention has deleted it.` : `It could not be loaded: ${error.message}.`;
    content.replaceChildren(make("p", { className: "error" }, text));
  }
}

function show(record) {
  const names = make("dl");
  for (const [name, value] of fields(record)) {
    names.append(make("dt", {}, name), make("dd", { className: name === "Path" ? "path" : "" }, value));
  }
  const link = new URL(linkTo(record.id), document.baseURI).href;
  const only = (label, values) =>
    button(label, () => {
      dialog.close();
      filters.set(values);
      byId("requests").focus();
    });
  const actions = make("p", { className: "actions" });
  actions.append(
    only("Only this path", { path_prefix: record.path, q: "" }),
    only(`Only ${statusClass(record.status)}`, { status: statusClass(record.status) }),
  );
  if (record.remote_addr != null) actions.append(only("Only this address", { remote_addr: record.remote_addr }));
  const copied = make("p", { className: "copied" }, make("code", { tabIndex: 0 }, link));
  copied.append(button("Copy link", (event) => copy(link, event.currentTarget)));
  content.replaceChildren(names, copied, actions);
}

export function start() {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  for (const [name, step] of [["newer", -1], ["older", 1]]) {
    byId(`detail-${name}`).addEventListener("click", () => {
      const id = list.neighbour(shownId, step);
      if (id !== undefined) open(id);
    });
  }
  dialog.addEventListener("close", () => {
    filters.setPageParameter("id", null);
    list.focusRow(shownId);
  });
  // A click beside the dialog closes it.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  const id = filters.pageParameter("id");
  if (id != null) open(/^\d+$/.test(id) ? Number(id) : id);
}
