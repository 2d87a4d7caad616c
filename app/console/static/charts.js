// Small charts in SVG. Know numbers and widths; know nothing of where the numbers come from.
import { el, put, svg } from "./dom.js";
import { clock, count, plain, score, share } from "./format.js";
import { text } from "./language.js";

const EDGE = { left: 38, right: 10, top: 14, bottom: 22 };

/** A host that draws itself anew when its width changes: call the result with what `draw` takes. */
function sized(host, height, draw) {
  let last;
  const again = () => {
    const width = host.clientWidth;
    if (last !== undefined && width > 0) put(host, draw(width, height, last));
  };
  new ResizeObserver(again).observe(host);
  document.addEventListener("languagechanged", again);
  return (data) => {
    last = data;
    again();
  };
}

const label = (x, y, words, anchor = "middle", more = {}) => svg("text", { x, y, "text-anchor": anchor, class: "axis", ...more }, words);

const tip = (words) => svg("title", {}, words);

/** Columns of 100 %: which share thought in each span of time. Data: { bins: [{ from, thinking, total, old }], span }. */
export function ratioChart(host) {
  return sized(host, 190, (width, height, { bins, span }) => {
    const inner = { w: width - EDGE.left - EDGE.right, h: height - EDGE.top - EDGE.bottom };
    const sums = bins.reduce((s, b) => [s[0] + b.thinking, s[1] + b.total], [0, 0]);
    const root = svg("svg", {
      width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": text("ratio.aria", { share: share(sums[0], sums[1]), n: count(sums[1]) }),
    });
    for (const part of [0, 0.5, 1]) {
      const y = EDGE.top + inner.h * (1 - part);
      root.append(svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y, y2: y, class: "rule" }));
      root.append(label(EDGE.left - 6, y + 4, share(part, 1), "end"));
    }
    const step = inner.w / bins.length;
    bins.forEach((bin, i) => {
      if (!bin.total) return;
      const x = EDGE.left + i * step + 0.75;
      const w = Math.max(1, step - 1.5);
      const high = (inner.h * bin.thinking) / bin.total;
      root.append(svg("g", { class: bin.old ? "old" : "" },
        svg("rect", { x, y: EDGE.top, width: w, height: inner.h - high, class: "fill-instruct" }),
        svg("rect", { x, y: EDGE.top + inner.h - high, width: w, height: high, class: "fill-thinking" }),
        tip(text("ratio.tip", { time: clock(bin.from), share: share(bin.thinking, bin.total), n: count(bin.total) }))));
    });
    const marks = width < 420 ? [0, bins.length] : [0, bins.length / 3, (2 * bins.length) / 3, bins.length];
    for (const at of marks) {
      const ago = Math.round(((bins.length - at) * span) / 60);
      const anchor = at === 0 ? "start" : at === bins.length ? "end" : "middle";
      root.append(label(EDGE.left + at * step, height - 6, ago ? text("ago.minutes", { n: ago }) : text("now"), anchor));
    }
    if (!sums[1]) root.append(label(EDGE.left + inner.w / 2, EDGE.top + inner.h / 2 - 8, text("ratio.none"), "middle", { class: "axis note" }));
    return root;
  });
}

/** Scores by bucket and the thresholds in force. Data: { buckets: [{ from, to, n }], thresholds: [{ value, names }] }. */
export function histogram(host) {
  return sized(host, 190, (width, height, { buckets, thresholds }) => {
    const inner = { w: width - EDGE.left - EDGE.right, h: height - EDGE.top - EDGE.bottom };
    const bars = buckets.filter((b) => b.to <= 1.0001);
    const most = Math.max(1, ...bars.map((b) => b.n));
    const all = bars.reduce((sum, b) => sum + b.n, 0);
    const at = (value) => EDGE.left + inner.w * Math.min(1, Math.max(0, value));
    const line = thresholds[0]?.value ?? 0.5;
    const above = bars.filter((b) => b.from >= line - 1e-9).reduce((sum, b) => sum + b.n, 0);
    const root = svg("svg", {
      width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": text("scores.aria", { n: count(all), above: share(above, all), threshold: plain(line) }),
    });
    root.append(svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: height - EDGE.bottom, y2: height - EDGE.bottom, class: "rule" }));
    root.append(label(EDGE.left - 6, EDGE.top + 8, count(most), "end"), label(EDGE.left - 6, height - EDGE.bottom + 4, "0", "end"));
    for (const bar of bars) {
      const high = bar.n ? Math.max(2, (inner.h * bar.n) / most) : 0;
      root.append(svg("rect", {
        x: at(bar.from) + 1, y: height - EDGE.bottom - high, width: Math.max(1, at(bar.to) - at(bar.from) - 2), height: high, rx: 1.5,
        class: bar.from >= line - 1e-9 ? "fill-thinking" : "fill-instruct",
      }, tip(text("scores.tip", { from: plain(bar.from), to: plain(bar.to), n: count(bar.n) }))));
    }
    for (const { value, names } of thresholds.filter((t) => t.value <= 1)) {
      const x = at(value);
      root.append(svg("line", { x1: x, x2: x, y1: EDGE.top, y2: height - EDGE.bottom, class: "threshold" },
        tip(text("scores.threshold", { value: plain(value), names: names.join(", ") }))));
      root.append(label(x, EDGE.top - 4, plain(value), value > 0.9 ? "end" : value < 0.1 ? "start" : "middle", { class: "axis strong", dx: value > 0.9 ? -5 : value < 0.1 ? 5 : 0 }));
    }
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      root.append(label(at(tick), height - 6, plain(tick), tick === 0 ? "start" : tick === 1 ? "end" : "middle"));
    }
    if (!all) root.append(label(EDGE.left + inner.w / 2, EDGE.top + inner.h / 2, text("scores.none"), "middle", { class: "axis note" }));
    return root;
  });
}

/** A score on a line from 0 to 1, with the threshold: which side it fell on. */
export function gauge(value, threshold) {
  const at = (x) => 4 + 292 * Math.min(1, Math.max(0, x));
  return svg("svg", {
    viewBox: "0 0 300 34", class: "gauge", role: "img",
    "aria-label": text("gauge.aria", { score: score(value), threshold: plain(threshold) }),
  },
    svg("rect", { x: 4, y: 14, width: at(threshold) - 4, height: 8, rx: 4, class: "fill-instruct soft" }),
    svg("rect", { x: at(threshold), y: 14, width: Math.max(0, 296 - at(threshold)), height: 8, rx: 4, class: "fill-thinking soft" }),
    svg("line", { x1: at(threshold), x2: at(threshold), y1: 8, y2: 28, class: "threshold" }),
    svg("circle", { cx: at(value), cy: 18, r: 7, class: value >= threshold ? "fill-thinking" : "fill-instruct" }));
}

/** What moved the score: bars to the right push towards thinking, to the left away from it. */
export function pushes(features) {
  const most = Math.max(0.01, ...features.map((f) => Math.abs(f.push)));
  return el("ul", { class: "pushes" }, features.map((f) => {
    const w = (48 * Math.abs(f.push)) / most;
    const bar = svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("line", { x1: 50, x2: 50, y1: 0, y2: 10, class: "rule" }),
      svg("rect", { x: f.push >= 0 ? 50 : 50 - w, y: 1.5, width: w, height: 7, class: f.push >= 0 ? "fill-thinking" : "fill-instruct" }));
    return el("li", {}, el("span", { class: "name" }, f.name), bar, el("span", { class: "num" }, `${f.push > 0 ? "+" : ""}${plain(f.push)}`));
  }));
}

/** A bar of two parts, out of `all`: what Instruct and what Thinking had. */
export function split(instruct, thinking, all) {
  const part = (n) => (100 * n) / Math.max(1, all);
  return svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { x: 0, y: 0, width: part(instruct), height: 6, class: "fill-instruct" }),
    svg("rect", { x: part(instruct), y: 0, width: part(thinking), height: 6, class: "fill-thinking" }));
}
