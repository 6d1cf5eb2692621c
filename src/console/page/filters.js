// The filters: a form, and the query of the page's own address, so that a link shows the same.

import { byId } from "./dom.js";

const NAMES = ["since", "until", "status", "method", "path_prefix", "q", "remote_addr"];
/** They may be given several times: the form separates the values by spaces. */
const REPEATED = new Set(["status", "method"]);
const TYPING_MS = 400;

const form = byId("filters");
const field = (name) => form.elements.namedItem(name);
let changed = () => {};

/** Parameters of the API, in a fixed order. */
export function parameters() {
  const given = new URLSearchParams();
  for (const name of NAMES) {
    const value = field(name).value.trim();
    if (value === "") continue;
    const values = REPEATED.has(name) ? value.split(/[\s,]+/).filter((part) => part !== "") : [value];
    for (const each of values) given.append(name, name === "method" ? each.toUpperCase() : name === "status" ? each.toLowerCase() : each);
  }
  return given;
}

export const isEmpty = () => parameters().size === 0;

/** The value of a parameter that belongs to no filter: `id`, `range`. */
export const pageParameter = (name) => new URLSearchParams(location.search).get(name);

/** Changes the page's address, and adds nothing to the browser's history. */
export function setPageParameter(name, value) {
  const query = new URLSearchParams(location.search);
  if (value == null) query.delete(name);
  else query.set(name, value);
  replaceQuery(query);
}

function replaceQuery(query) {
  const text = query.toString();
  history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

/** Fills the form, as if the reader had. Names without a value are emptied. */
export function set(values) {
  for (const [name, value] of Object.entries(values)) field(name).value = value;
  apply();
}

/** Shows what is wrong at the field that it is about. */
export function showProblem(problem) {
  const text = problem?.message ?? "";
  const named = problem?.parameter ?? NAMES.find((name) => text.startsWith(`${name}=`) || text.startsWith(`${name} `));
  for (const name of NAMES) {
    const wrong = text !== "" && name === named;
    field(name).setAttribute("aria-invalid", String(wrong));
    if (wrong) field(name).setAttribute("aria-describedby", "filter-error");
    else field(name).removeAttribute("aria-describedby");
  }
  byId("filter-error").textContent = text;
}

let applied;
let typing;

function apply() {
  clearTimeout(typing);
  const given = parameters();
  byId("clear").hidden = given.size === 0;
  if (given.toString() === applied) return;
  applied = given.toString();
  const query = new URLSearchParams(location.search);
  const kept = [...query].filter(([name]) => !NAMES.includes(name));
  replaceQuery(new URLSearchParams([...given, ...kept]));
  changed();
}

function readAddress() {
  const query = new URLSearchParams(location.search);
  for (const name of NAMES) field(name).value = query.getAll(name).join(" ");
}

/** Fills the form from the page's address, and calls `onChange` after each change. */
export function start(onChange) {
  readAddress();
  applied = parameters().toString();
  byId("clear").hidden = isEmpty();
  changed = onChange;
  form.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(apply, TYPING_MS);
  });
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  byId("clear").addEventListener("click", () => {
    set(Object.fromEntries(NAMES.map((name) => [name, ""])));
    field("since").focus();
  });
  window.addEventListener("popstate", () => {
    readAddress();
    apply();
  });
}
