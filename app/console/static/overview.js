// The first view: how much thinks, scores, who decided, backends, savings. Knows /metrics, /health and /v1/savings.
import { get, getText } from "./api.js";
import { histogram, ratioChart, split } from "./charts.js";
import { el, put, say, setText } from "./dom.js";
import { count, plain, seconds, share } from "./format.js";
import { reasonText } from "./explain.js";
import { buckets, by, mean, parse, total } from "./metrics.js";
import { poll } from "./poll.js";
import { savings } from "./savings.js";

const EVERY_MS = 2000;
const SPAN_S = 20; // of one column
const BINS = 45;

const card = (key, about, ...body) => el("article", { class: "card" },
  el("header", {}, el("h2", { t: key }), about ? el("p", { class: "muted small", t: about }) : null), ...body);

function tile(key) {
  const value = el("strong", {}, "–");
  const beside = el("span", { class: "muted small" });
  return { node: el("div", { class: "tile" }, el("span", { class: "muted", t: key }), value, beside), value, beside };
}

/** Decisions by span of time, for the last quarter of an hour: what /metrics has counted since, and the log before. */
class History {
  constructor() {
    this.bins = new Map(); // number of the span → [thinking, total, old]
    this.before = null;
  }

  add(time, thinking, all, old = false) {
    const key = Math.floor(time / SPAN_S);
    const bin = this.bins.get(key) ?? [0, 0, old];
    this.bins.set(key, [bin[0] + thinking, bin[1] + all, bin[2] && old]);
  }

  /** Counters as they stand now; what they have grown by since the last call happened since. */
  count(thinking, all) {
    const now = Date.now() / 1e3;
    if (this.before && all > this.before[1]) this.add(now, Math.max(0, thinking - this.before[0]), all - this.before[1]);
    this.before = [thinking, all];
    const oldest = Math.floor(now / SPAN_S) - BINS;
    for (const key of this.bins.keys()) if (key <= oldest) this.bins.delete(key);
  }

  data() {
    const last = Math.floor(Date.now() / 1e3 / SPAN_S);
    const bins = Array.from({ length: BINS }, (_, i) => {
      const key = last - BINS + 1 + i;
      const [thinking, all, old] = this.bins.get(key) ?? [0, 0, false];
      return { from: key * SPAN_S, thinking, total: all, old };
    });
    return { bins, span: SPAN_S };
  }
}

async function earlier(history) {
  const oldest = Date.now() / 1e3 - SPAN_S * BINS;
  try {
    for (const d of (await get("v1/decisions?limit=500")).data) {
      if (d.time > oldest) history.add(d.time, d.mode === "thinking" ? 1 : 0, 1, true);
    }
    return true;
  } catch {
    return false; // no log: the chart begins now
  }
}

function reasons(host, samples) {
  const modes = (mode) => by(samples, "thinkgate_decisions_total", "reason", { mode });
  const [instruct, thinking] = [modes("instruct"), modes("thinking")];
  const rows = [...new Set([...Object.keys(instruct), ...Object.keys(thinking)])]
    .map((reason) => ({ reason, i: instruct[reason] ?? 0, t: thinking[reason] ?? 0 }))
    .filter(({ i, t }) => i + t > 0)
    .sort((a, b) => b.i + b.t - a.i - a.t);
  const all = rows.reduce((sum, { i, t }) => sum + i + t, 0);
  if (!all) return put(host, el("p", { class: "muted", t: "reasons.none" }));
  return put(host, el("ul", { class: "bars" }, rows.map(({ reason, i, t }) => el("li", {},
    reasonText(reason, { class: "name" }), el("span", { class: "num muted" }, `${share(i + t, all)} · ${count(i + t)}`), split(i, t, all)))));
}

function backends(host, health, samples) {
  const flight = by(samples, "thinkgate_in_flight", "pool");
  const waiting = by(samples, "thinkgate_waiting", "pool");
  put(host, Object.entries(health.pools).map(([name, pool]) => {
    const replicas = (samples.get("thinkgate_backend_up") ?? []).filter((s) => s.labels.pool === name);
    const ejected = by(samples, "thinkgate_backend_ejected", "replica", { pool: name });
    return el("div", { class: "backend" },
      el("div", { class: "row" }, el("strong", {}, name),
        el("span", { class: `state ${pool.up ? (pool.replicas_up < pool.replicas ? "part" : "up") : "down"}`, t: pool.up ? "backend.up" : "backend.down" })),
      el("ul", { class: "replicas" }, replicas.map(({ labels, value }) => {
        const state = !value ? "down" : ejected[labels.replica] ? "part" : "up";
        return el("li", { class: `dot ${state}` }, say(`replica.${state}`, { n: Number(labels.replica) + 1 }));
      })),
      el("p", { class: "muted small" }, say("backend.load", { flight: count(flight[name] ?? 0), waiting: count(waiting[name] ?? 0) })));
  }), el("p", { class: "muted small" }, say("backend.judge", { judge: health.judge })));
}

/** Build the view. */
export function overview(host) {
  const tiles = Object.fromEntries(["thinking", "decisions", "tokens", "wait", "overhead"].map((name) => [name, tile(`tile.${name}`)]));
  const ratioHost = el("div", { class: "chart" });
  const scoreHost = el("div", { class: "chart" });
  const reasonHost = el("div");
  const backendHost = el("div", { class: "backends" });
  const savingsHost = el("div", { class: "savings" });
  const old = el("p", { class: "muted small", t: "ratio.old", hidden: true });
  put(host,
    el("div", { class: "tiles" }, Object.values(tiles).map((t) => t.node)),
    el("div", { class: "grid" },
      card("ratio.title", "ratio.about", el("p", { class: "legend" }, el("span", { class: "key instruct", t: "mode.instruct" }), el("span", { class: "key thinking", t: "mode.thinking" })), ratioHost, old),
      card("scores.title", "scores.about", scoreHost),
      card("savings.title", "savings.about", savingsHost),
      card("reasons.title", "reasons.about", reasonHost),
      card("backends.title", null, backendHost)));
  const drawRatio = ratioChart(ratioHost);
  const drawScores = histogram(scoreHost);
  const history = new History();
  let begun = false;

  poll(host, EVERY_MS, async () => {
    const [words, health] = await Promise.all([getText("metrics"), get("health")]);
    if (!begun) {
      begun = true;
      old.hidden = !(await earlier(history)) || !history.bins.size;
    }
    const samples = parse(words);
    const modes = by(samples, "thinkgate_decisions_total", "mode");
    const thinking = modes.thinking ?? 0;
    const all = Object.values(modes).reduce((a, b) => a + b, 0);
    history.count(thinking, all);
    drawRatio(history.data());
    const thresholds = new Map();
    for (const { labels, value } of samples.get("thinkgate_threshold") ?? []) {
      thresholds.set(value, [...(thresholds.get(value) ?? []), labels.profile]);
    }
    const sorted = [...thresholds].map(([value, names]) => ({ value, names }));
    sorted.sort((a, b) => b.names.includes("default") - a.names.includes("default"));
    drawScores({ buckets: buckets(samples, "thinkgate_judge_score"), thresholds: sorted });
    reasons(reasonHost, samples);
    backends(backendHost, health, samples);
    const kinds = by(samples, "thinkgate_tokens_total", "kind");
    const made = (kinds.reasoning ?? 0) + (kinds.answer ?? 0);
    setText(tiles.thinking.value, share(thinking, all));
    put(tiles.thinking.beside, say("tile.thinking.of", { n: count(thinking), all: count(all) }));
    setText(tiles.decisions.value, count(all));
    put(tiles.decisions.beside, say("tile.decisions.now", { n: count(total(samples, "thinkgate_in_flight")) }));
    setText(tiles.tokens.value, share(kinds.reasoning ?? 0, made));
    put(tiles.tokens.beside, say("tile.tokens.of", { n: count(kinds.reasoning ?? 0), all: count(made) }));
    const waits = ["instruct", "thinking"].map((mode) => mean(samples, "thinkgate_time_to_answer_seconds", { mode }));
    setText(tiles.wait.value, `${seconds(waits[0])} · ${seconds(waits[1])}`);
    put(tiles.wait.beside, say("tile.wait.of"));
    setText(tiles.overhead.value, seconds(mean(samples, "thinkgate_overhead_seconds")));
    put(tiles.overhead.beside, say("tile.overhead.of", { judge: seconds(mean(samples, "thinkgate_judge_duration_seconds")), n: plain(total(samples, "thinkgate_overhead_seconds_count"), 0) }));
  });
  savings(host, savingsHost);
}
