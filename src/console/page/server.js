// Requests to the server that the page comes from. All addresses are relative.

/** The server said what is wrong. */
export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `the server responded with ${status}`);
    this.status = status;
    this.parameter = problem.parameter;
  }
}

const TIMEOUT_MS = 15_000;

/** JSON, and the response's headers. Fails with a Problem, or with a network error. */
export async function get(path, signal) {
  const time = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(path, { signal: signal ? AbortSignal.any([signal, time]) : time, cache: "no-store" });
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Problem(response.status, problem);
  }
  return { json: await response.json(), headers: response.headers };
}

/** Calls `task` now and `milliseconds` after its end, again and again, but not while the page is hidden. */
export function repeat(milliseconds, task) {
  let timer;
  let running = false;
  let again = false;
  const run = async () => {
    clearTimeout(timer);
    if (running) {
      again = true;
      return;
    }
    running = true;
    do {
      again = false;
      await task();
    } while (again);
    running = false;
    if (!document.hidden) timer = setTimeout(run, milliseconds);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : run()));
  run();
  return run;
}
