// The live stream of records. It connects again by itself, and closes while the page is hidden: a browser has only six
// connections to one server.

const RETRY_MS = 1000;
const RETRY_MAX_MS = 10_000;

export class Stream {
  #source;
  #query;
  #timer;
  #retry = RETRY_MS;
  #listener;
  #continues = false;

  /** `listener` has `opened(continues)`, `lost()`, `request(record)`, `outcome(outcome)` and `gap(gap)`. */
  constructor(listener) {
    this.#listener = listener;
    document.addEventListener("visibilitychange", () => {
      if (this.#query == null) return;
      if (document.hidden) this.#disconnect();
      else this.#connect();
    });
  }

  /** Follows the records of these parameters; null stops. */
  follow(query) {
    this.#query = query;
    this.#disconnect();
    if (query != null && !document.hidden) this.#connect();
  }

  #disconnect() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = undefined;
    this.#continues = false;
  }

  #connect() {
    this.#disconnect();
    const source = new EventSource(`api/stream${this.#query ? `?${this.#query}` : ""}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#retry = RETRY_MS;
      // The browser itself has connected again: then the server continues after the last event.
      this.#listener.opened(this.#continues);
    });
    for (const kind of ["request", "outcome", "gap"]) {
      source.addEventListener(kind, (event) => {
        this.#continues = true;
        this.#listener[kind](JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => {
      this.#listener.lost();
      if (source.readyState !== EventSource.CLOSED) return;
      // After a response that is no stream the browser gives up, a 503 of a restart for example.
      this.#disconnect();
      this.#timer = setTimeout(() => this.#connect(), this.#retry);
      this.#retry = Math.min(this.#retry * 2, RETRY_MAX_MS);
    });
  }
}
