// The four verdicts on a decision, as buttons. Knows POST /v1/feedback; knows no view.
import { get, postJson } from "./api.js";
import { el, put, say } from "./dom.js";

const VERDICTS = ["good_fit", "underpowered", "overprovisioned", "failed"];
const given = new Map(); // decision id → verdict, for as long as the page is open

/** Buttons for the decision `id`; `recall` asks the log for what was said of it before. */
export function feedback(id, recall = false) {
  const said = el("span", { class: "small muted", role: "status" });
  const buttons = VERDICTS.map((verdict) => el("button", {
    type: "button", class: `verdict ${verdict}`, "t": `verdict.${verdict}`, "t-title": `verdict.${verdict}.about`,
    "aria-pressed": String(given.get(id) === verdict), on: { click: () => give(verdict) },
  }));

  async function give(verdict) {
    for (const button of buttons) button.disabled = true;
    put(said, say("feedback.sending"));
    try {
      await postJson("v1/feedback", { decision_id: id, verdict }, { headers: { "idempotency-key": `console-${id}-${verdict}` } });
      given.set(id, verdict);
      put(said, say("feedback.thanks"));
    } catch (error) {
      const key = error.status === 404 || error.status === 405 ? "feedback.none" : "feedback.refused";
      put(said, say(key), " ", error.status ? error.message : "");
    }
    for (const button of buttons) button.disabled = false;
    mark();
  }

  function mark() {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(given.get(id) === VERDICTS[i])));
  }

  if (recall && !given.has(id)) {
    get(`v1/decisions/${encodeURIComponent(id)}`).then((found) => {
      const last = found.feedback?.at(-1);
      if (last && !given.has(id)) given.set(id, last.verdict);
      mark();
    }, () => {}); // a gateway that keeps none, or is gone: the buttons say so when pressed
  }

  return el("div", { class: "feedback", role: "group", "t-aria-label": "feedback.title" },
    el("span", { class: "small muted", t: "feedback.title" }), ...buttons, said);
}
