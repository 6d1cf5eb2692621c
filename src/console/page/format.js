// Numbers and times as text. Times are UTC, as in the API and on the command line.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (number) => grouped.format(number);

/** A rate: three digits that matter. */
export function rate(number) {
  if (number >= 100) return count(number);
  return number.toFixed(number >= 10 || number === 0 ? (number === 0 ? 0 : 1) : 2);
}

/** [number, unit], so that the unit can be smaller. */
export function duration(microseconds) {
  if (microseconds == null) return ["–", ""];
  const three = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
  if (microseconds < 1000) return [String(Math.round(microseconds)), "µs"];
  if (microseconds < 1e6) return [three(microseconds / 1e3), "ms"];
  return [three(microseconds / 1e6), "s"];
}

export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 999.5 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return [unit === 0 || number >= 100 ? number.toFixed(0) : number.toFixed(1), units[unit]];
}

/** An age or a time to come: "3 s", "12 min", "5 h", "29 days". */
export function age(seconds) {
  if (seconds < 1) return ["0", "s"];
  if (seconds < 120) return [seconds.toFixed(0), "s"];
  if (seconds < 7200) return [(seconds / 60).toFixed(0), "min"];
  if (seconds < 172800) return [(seconds / 3600).toFixed(0), "h"];
  return [(seconds / 86400).toFixed(0), "days"];
}

export const together = ([number, unit]) => (unit ? `${number} ${unit}` : number);

const digits = (number, width = 2) => String(number).padStart(width, "0");

/** "2026-11-29" and "23:54:36.123". */
export function dateAndTime(text) {
  const [date, time] = new Date(text).toISOString().slice(0, -1).split("T");
  return [date, time];
}

export const secondsOf = (text) => Date.parse(text) / 1000;

/** Without a fraction, as since and until show it: "2026-11-29T23:54:36Z". */
export const wholeSeconds = (seconds) => new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, "Z");

/** "23:54" or, at midnight, "11-29". */
export function clock(seconds) {
  const time = new Date(seconds * 1000);
  const [hours, minutes] = [time.getUTCHours(), time.getUTCMinutes()];
  if (hours === 0 && minutes === 0) return `${digits(time.getUTCMonth() + 1)}-${digits(time.getUTCDate())}`;
  return `${digits(hours)}:${digits(minutes)}`;
}
