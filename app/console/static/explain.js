// One decision in words, a gauge and figures. Knows the fields of `routing`, of the log and of /v1/route; asks the last.
import { postJson } from "./api.js";
import { gauge, pushes } from "./charts.js";
import { el, put, say } from "./dom.js";
import { count, moment, plain, score, seconds } from "./format.js";
import { has } from "./language.js";

/** The badge of a mode. */
export const badge = (mode) => (mode === "thinking" || mode === "instruct"
  ? el("span", { class: `badge ${mode}`, t: `mode.${mode}` })
  : el("span", { class: "badge", t: "mode.none" }));

/** A reason in words; its name where there are none. */
export const reasonText = (reason, props = {}) => (has(`reason.${reason}`) ? say(`reason.${reason}`, {}, props) : el("span", props, reason || "–"));

const fact = (key, value) => (value === null || value === undefined || value === "" || value === "–"
  ? null
  : el("div", {}, el("dt", { t: key }), el("dd", {}, String(value))));

/** Why a request went where it did. `d` is a record of the log or a `routing` object, with times and tokens if known. */
export function explanation(d, prompt) {
  const judged = d.score !== null && d.score !== undefined && d.threshold !== null && d.threshold !== undefined;
  const features = el("div", { class: "features" });
  const node = el("div", { class: "explanation" },
    el("p", { class: "why" }, badge(d.mode), " ", reasonText(d.reason)),
    d.because && !judged ? el("p", { class: "because" }, el("code", {}, d.because)) : null,
    judged ? el("div", { class: "scored" }, gauge(d.score, d.threshold),
      el("p", { class: "muted" }, say(d.score >= d.threshold ? "explain.above" : "explain.below", { score: score(d.score), threshold: plain(d.threshold, 4) }))) : null,
    d.fallback_from ? el("p", { class: "warn" }, say("explain.fallback", { pool: d.fallback_from })) : null,
    d.rescue ? el("p", { class: "warn" }, say("explain.rescue", { how: d.rescue })) : null,
    judged ? features : null,
    el("dl", { class: "facts" },
      fact("fact.asked", d.asked), fact("fact.model", d.model), fact("fact.pool", d.pool), fact("fact.profile", d.profile),
      fact("fact.judge", d.judge), fact("fact.judge_s", d.judge_s ? seconds(d.judge_s) : null),
      fact("fact.budget", d.budget), fact("fact.status", d.status), fact("fact.api", d.api),
      fact("fact.prompt_tokens", count(d.prompt_tokens)), fact("fact.reasoning_tokens", count(d.reasoning_tokens)),
      fact("fact.answer_tokens", count(d.answer_tokens)), fact("fact.ttft", d.ttft_s === null ? null : seconds(d.ttft_s)),
      fact("fact.duration", seconds(d.duration_s)), fact("fact.time", d.time ? moment(d.time) : null),
      fact("fact.id", d.id ?? d.decision_id)));
  if (judged) showFeatures(features, d, prompt);
  return node;
}

/** Fill in what moved the score. The log does not keep it, so the text is judged again, if it is known. */
async function showFeatures(host, d, prompt) {
  let found = d.features ?? null;
  let again = null;
  const texts = prompt ?? d.prompt;
  if (!found && !texts) {
    put(host, el("p", { class: "muted small", t: "features.no_prompt" }));
    return;
  }
  if (!found) {
    put(host, el("p", { class: "muted small", t: "features.asking" }));
    try {
      const body = typeof texts === "string" ? { model: d.asked || "auto", messages: [{ role: "user", content: texts }] } : texts;
      again = await postJson("v1/route", body);
      found = again.features ?? [];
    } catch (error) {
      put(host, el("p", { class: "muted small" }, say("features.failed"), ` ${error.message}`));
      return;
    }
  }
  put(host, el("h4", { t: "features.title" }),
    found.length ? pushes(found) : el("p", { class: "muted small", t: "features.none" }),
    found.length ? el("p", { class: "muted small", t: "features.key" }) : null,
    again && again.score !== null && Math.abs(again.score - d.score) > 0.0005
      ? el("p", { class: "muted small" }, say("features.differs", { score: score(again.score) })) : null);
}
