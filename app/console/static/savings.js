// What routing has saved against always thinking, with its interval. Knows GET /v1/savings; computes nothing.
import { get } from "./api.js";
import { el, put, say } from "./dom.js";
import { count, seconds, share } from "./format.js";
import { poll } from "./poll.js";

const EVERY_MS = 20000;

/** An estimate and its interval; `words` turns an amount into text. */
const amount = (key, found, words) => (found
  ? el("div", {}, el("p", { class: "big" }, words(found.saved)),
    el("p", { class: "small" }, say(key), found.share === null ? null : ` · ${share(found.share, 1)}`),
    el("p", { class: "muted small" }, say("savings.interval", { low: words(found.low), high: words(found.high) })))
  : null);

function show(target, { total }) {
  if (!total.tokens) {
    put(target, el("p", { class: "muted" }, say("savings.little", { n: count(total.thinking) })));
    return;
  }
  put(target,
    el("div", { class: "amounts" }, amount("savings.tokens", total.tokens, (n) => count(Math.round(n))), amount("savings.seconds", total.seconds, seconds)),
    el("p", { class: "muted small" }, say("savings.of", { instruct: count(total.instruct), thinking: count(total.thinking) })),
    total.extrapolated ? el("p", { class: "muted small" }, say("savings.extrapolated", { n: count(total.extrapolated) })) : null);
}

/** Fill `target` while `view` is to be seen. */
export function savings(view, target) {
  poll(view, EVERY_MS, async () => {
    try {
      show(target, await get("v1/savings"));
    } catch (error) {
      if (!error.status) throw error;
      put(target, el("p", { class: "muted" }, say(error.status === 404 ? "savings.none" : "savings.failed")),
        el("p", { class: "muted small" }, error.message));
    }
  });
}
