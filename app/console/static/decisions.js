// Decisions as they happen, each opening into its explanation. Knows GET /v1/decisions; explains by explain.js.
import { get } from "./api.js";
import { el, put, say } from "./dom.js";
import { badge, explanation, reasonText } from "./explain.js";
import { feedback } from "./feedback.js";
import { clock, count, score, seconds } from "./format.js";
import { poll } from "./poll.js";

const EVERY_MS = 2000;
const PAGE = 50;
const MOST = 400; // rows kept on the page
const REASONS = ["judge", "session", "client_model", "client_header", "client_field", "soft_switch", "profile", "budget", "load", "judge_failed", "escalated", "fallback", "self_judged"];

function row(d) {
  const inside = el("div", { class: "inside" });
  const node = el("details", { class: "decision", "data-id": d.id },
    el("summary", {},
      el("time", { class: "num", datetime: new Date(d.time * 1e3).toISOString() }, clock(d.time)),
      badge(d.mode), reasonText(d.reason, { class: "reason" }),
      el("span", { class: "num score" }, d.score === null ? "" : score(d.score)),
      el("span", { class: "num tokens" }, tokens(d)),
      el("span", { class: "num time" }, seconds(d.duration_s)),
      d.status === 200 ? null : el("span", { class: "badge bad" }, String(d.status))),
    inside);
  node.addEventListener("toggle", () => {
    if (node.open && !inside.hasChildNodes()) {
      put(inside, d.prompt ? el("blockquote", {}, d.prompt) : null, explanation(d), feedback(d.id, true));
    }
  });
  return node;
}

const tokens = (d) => say("decision.tokens", { thought: count(d.reasoning_tokens), answered: count(d.answer_tokens) });

/** Build the view. */
export function decisions(host) {
  const list = el("div", { class: "decisions" });
  const hint = el("div", { class: "hint" });
  const more = el("button", { type: "button", t: "decisions.more", hidden: true, on: { click: older } });
  const pause = el("button", { type: "button", "aria-pressed": "false", t: "decisions.pause", on: { click: toggle } });
  const choose = (key, options) => el("select", { "t-aria-label": key, on: { change: begin } },
    el("option", { value: "", t: key }), options.map(([value, label]) => el("option", { value, t: label })));
  const mode = choose("decisions.any_mode", [["instruct", "mode.instruct"], ["thinking", "mode.thinking"]]);
  const reason = choose("decisions.any_reason", REASONS.map((r) => [r, `reason.${r}`]));
  let last = null;
  let round = 0;
  put(host,
    el("div", { class: "bar" }, el("h1", { t: "decisions.title" }), el("div", { class: "row" }, mode, reason, pause)),
    el("p", { class: "muted small", t: "decisions.about" }), hint, list, el("div", { class: "row center" }, more));

  const query = (before) => {
    const wanted = new URLSearchParams({ limit: PAGE });
    if (before) wanted.set("before", before);
    if (mode.value) wanted.set("mode", mode.value);
    if (reason.value) wanted.set("reason", reason.value);
    return `v1/decisions?${wanted}`;
  };

  const again = poll(host, EVERY_MS, async () => {
    if (pause.getAttribute("aria-pressed") === "true") return;
    const mine = round;
    let page;
    try {
      page = await get(query());
    } catch (error) {
      if (error.status === 404) return put(hint, el("p", {}, say("decisions.none")), el("p", { class: "muted small" }, error.message), el("pre", {}, "decisions: {url: \"sqlite:///thinkgate.db\"}"));
      throw error;
    }
    if (mine !== round) return;
    const known = new Set([...list.children].map((node) => node.dataset.id));
    const fresh = page.data.filter((d) => !known.has(d.id));
    list.prepend(...fresh.map(row));
    if (known.size) for (const node of [...list.children].slice(0, fresh.length)) node.classList.add("fresh");
    else {
      last = page.last_id;
      more.hidden = !page.has_more;
    }
    while (list.children.length > MOST && !list.lastChild.open) {
      list.lastChild.remove();
      last = list.lastChild.dataset.id;
      more.hidden = false;
    }
    put(hint, list.hasChildNodes() ? null : el("p", { class: "muted", t: "decisions.empty" }));
  });

  async function older() {
    more.disabled = true;
    const mine = round;
    try {
      const page = await get(query(last));
      if (mine === round) {
        list.append(...page.data.map(row));
        last = page.last_id ?? last;
        more.hidden = !page.has_more;
      }
    } catch (error) {
      document.dispatchEvent(new CustomEvent("trouble", { detail: error }));
    }
    more.disabled = false;
  }

  function begin() {
    round += 1;
    put(list);
    last = null;
    more.hidden = true;
    again();
  }

  function toggle() {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    again();
  }
}
