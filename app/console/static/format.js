// Numbers, shares and times in words. Knows the language's locale; knows no unit of the gateway but seconds.
import { locale } from "./language.js";

const number = (value, options) => new Intl.NumberFormat(locale(), options).format(value);

/** A count, short: 12, 3.4K. */
export const count = (n) =>
  n === null || n === undefined ? "–" : number(n, n >= 10000 ? { notation: "compact", maximumFractionDigits: 1 } : {});

/** A share in per cent; a dash where there is none. */
export const share = (part, whole) =>
  whole > 0 ? number(part / whole, { style: "percent", maximumFractionDigits: part / whole < 0.1 ? 1 : 0 }) : "–";

/** A score with four digits behind the point, as the API tells it. */
export const score = (x) => (x === null || x === undefined ? "–" : Number(x).toFixed(4));

/** A number with at most `digits` behind the point. */
export const plain = (x, digits = 2) => number(x, { maximumFractionDigits: digits });

/** A duration in seconds, in the unit that suits it. */
export function seconds(s) {
  if (s === null || s === undefined || Number.isNaN(s)) return "–";
  const size = Math.abs(s);
  if (size && size < 0.001) return `${number(s * 1e6, { maximumFractionDigits: 0 })} µs`;
  if (size < 1) return `${number(s * 1e3, { maximumFractionDigits: size < 0.01 ? 1 : 0 })} ms`;
  if (size < 100) return `${number(s, { maximumFractionDigits: size < 10 ? 2 : 1 })} s`;
  if (size < 6000) return `${number(s / 60, { maximumFractionDigits: 1 })} min`;
  return `${number(s / 3600, { maximumFractionDigits: 1 })} h`;
}

/** A time of day, from seconds since 1970. */
export const clock = (time) =>
  new Date(time * 1e3).toLocaleTimeString(locale(), { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Date and time, from seconds since 1970. */
export const moment = (time) => new Date(time * 1e3).toLocaleString(locale());
