// Prometheus' text format read into numbers. Knows the format and the gateway's names; draws nothing.
const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Samples by name: [{ labels, value }]. */
export function parse(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    if (!line || line[0] === "#") continue;
    const match = LINE.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    const value = match[3] === "+Inf" ? Infinity : Number(match[3]);
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value });
  }
  return found;
}

/** The sum of a metric's samples whose labels are as wanted. */
export function total(samples, name, wanted = {}) {
  let sum = 0;
  for (const { labels, value } of samples.get(name) ?? []) {
    if (Object.entries(wanted).every(([k, v]) => labels[k] === v)) sum += value;
  }
  return sum;
}

/** A counter's samples summed by one label: { value of the label: sum }. */
export function by(samples, name, label, wanted = {}) {
  const out = {};
  for (const { labels, value } of samples.get(name) ?? []) {
    if (Object.entries(wanted).every(([k, v]) => labels[k] === v)) out[labels[label]] = (out[labels[label]] ?? 0) + value;
  }
  return out;
}

/** A histogram's buckets, not cumulative: [{ from, to, n }]. */
export function buckets(samples, name) {
  const bounds = (samples.get(`${name}_bucket`) ?? []).map(({ labels, value }) => ({ to: Number(labels.le.replace("+Inf", "Infinity")), value }));
  bounds.sort((a, b) => a.to - b.to);
  let from = 0;
  let before = 0;
  return bounds.map(({ to, value }) => {
    const bucket = { from, to, n: value - before };
    from = to;
    before = value;
    return bucket;
  });
}

/** The mean of a histogram, null where it has nothing. */
export function mean(samples, name, wanted = {}) {
  const n = total(samples, `${name}_count`, wanted);
  return n > 0 ? total(samples, `${name}_sum`, wanted) / n : null;
}
