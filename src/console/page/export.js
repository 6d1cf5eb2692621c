// The export: the newest records of the filters as a file, and the command for all of them.

import { byId, copy } from "./dom.js";
import * as filters from "./filters.js";
import { count } from "./format.js";
import { get } from "./server.js";

const RECORDS_MAX = 10_000;
const PAGE = 1000;
const COLUMNS = ["id", "timestamp", "method", "path", "content_length", "remote_addr", "status", "duration_us"];

const dialog = byId("export-dialog");
const progress = byId("export-progress");
let abort = new AbortController();

/** A spreadsheet takes a cell that begins with one of these characters for a formula. */
const harmless = (text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text);

function cell(value) {
  if (value == null) return "";
  if (typeof value === "number") return String(value);
  const text = harmless(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const FORMATS = {
  ndjson: { type: "application/x-ndjson", head: "", line: (record) => `${JSON.stringify(record)}\n` },
  csv: {
    type: "text/csv",
    head: `${COLUMNS.join(",")}\n`,
    line: (record) => `${COLUMNS.map((name) => cell(record[name])).join(",")}\n`,
  },
};

async function download(name) {
  abort.abort();
  abort = new AbortController();
  const { signal } = abort;
  const format = FORMATS[name];
  const lines = [format.head];
  let records = 0;
  let before;
  try {
    do {
      const parameters = filters.parameters();
      parameters.set("limit", Math.min(PAGE, RECORDS_MAX - records));
      if (before != null) parameters.set("before", before);
      const { json } = await get(`api/requests?${parameters}`, signal);
      lines.push(...json.requests.map(format.line));
      records += json.requests.length;
      before = json.next_before;
      progress.textContent = `${count(records)} requests…`;
    } while (before != null && records < RECORDS_MAX);
  } catch (error) {
    if (!signal.aborted) progress.textContent = `The export failed: ${error.message}.`;
    return;
  }
  save(new Blob(lines, { type: format.type }), `requests.${name}`);
  progress.textContent =
    before == null ? `Saved all ${count(records)} requests.` : `Saved the newest ${count(records)} requests. There are more: use the command.`;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** For a shell: quoted where it must be. */
const quoted = (text) => (/^[\w./:@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

function command(program) {
  const flags = [...filters.parameters()].map(([name, value]) => `--${name.replaceAll("_", "-")}=${quoted(value)}`);
  return [program, "export", "--format=ndjson", ...flags, "--output=requests.ndjson"].join(" ");
}

/** `program()` is the application's name. */
export function start(program) {
  byId("export").addEventListener("click", () => {
    progress.textContent = "";
    byId("export-command").textContent = command(program());
    dialog.showModal();
  });
  for (const button of dialog.querySelectorAll("[data-format]")) {
    button.addEventListener("click", () => download(button.dataset.format));
  }
  byId("export-copy").addEventListener("click", (event) => copy(byId("export-command").textContent, event.currentTarget));
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => abort.abort());
}
