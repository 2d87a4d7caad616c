// One prompt, three answers side by side: auto, Instruct, Thinking. Knows chat completions; a column draws itself.
import { get } from "./api.js";
import { el, put, say } from "./dom.js";
import { Column } from "./column.js";
import { count, seconds } from "./format.js";
import { text } from "./language.js";

const MODES = ["auto", "instruct", "thinking"];
const EXAMPLES = ["easy", "steps", "proof"];

/** Build the view. */
export function playground(host) {
  const prompt = el("textarea", { id: "prompt", rows: 3, required: true, "t-placeholder": "play.placeholder", "aria-describedby": "prompt-help" });
  const system = el("textarea", { id: "system", rows: 2 });
  const route = el("select", { id: "route" });
  const most = el("input", { id: "max-tokens", type: "number", min: 1, max: 1000000, inputmode: "numeric", placeholder: "–" });
  const go = el("button", { type: "submit", class: "primary", t: "play.send" });
  const stop = el("button", { type: "button", t: "play.stop", disabled: true, on: { click: () => running?.abort() } });
  const columns = MODES.map((mode) => new Column(mode));
  const summary = el("div", { class: "summary", role: "status" });
  let running = null;

  const form = el("form", { class: "card ask", on: { submit: send } },
    el("label", { for: "prompt", class: "sr", t: "play.prompt" }), prompt,
    el("div", { class: "row examples" }, el("span", { class: "muted small", t: "play.examples" }),
      EXAMPLES.map((name) => el("button", { type: "button", class: "chip", t: `example.${name}`, on: { click: () => { prompt.value = text(`example.${name}`); prompt.focus(); } } }))),
    el("details", { class: "more" }, el("summary", { t: "play.more" }),
      el("label", { for: "system", t: "play.system" }), system),
    el("div", { class: "row foot" },
      el("label", { class: "inline" }, say("play.route"), route), el("label", { class: "inline" }, say("play.max_tokens"), most),
      el("span", { class: "muted small grow", id: "prompt-help", t: "play.keys" }), stop, go));
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  put(host, el("h1", { class: "sr", t: "tab.playground" }), form, summary, el("div", { class: "columns" }, columns.map((c) => c.node)));

  async function names() {
    if (route.options.length) return;
    const found = (await get("v1/models")).data.filter((m) => m.kind === "route").map((m) => m.id);
    put(route, found.map((id) => el("option", { value: id }, id)));
  }

  document.addEventListener("viewchanged", () => {
    if (!host.hidden) names().catch((error) => document.dispatchEvent(new CustomEvent("trouble", { detail: error })));
  });

  async function send(event) {
    event.preventDefault();
    if (running || !prompt.value.trim()) return;
    running = new AbortController();
    go.disabled = true;
    stop.disabled = false;
    put(summary);
    const messages = [{ role: "user", content: prompt.value }];
    if (system.value.trim()) messages.unshift({ role: "system", content: system.value });
    const body = { messages, stream: true, stream_options: { include_usage: true } };
    if (most.valueAsNumber >= 1) body.max_tokens = most.valueAsNumber;
    try {
      await names();
      const { signal } = running;
      const ended = await Promise.all(columns.map((column) => column.run(route.value || "auto", body, signal)));
      compare(ended);
    } catch (error) {
      document.dispatchEvent(new CustomEvent("trouble", { detail: error }));
    }
    running = null;
    go.disabled = false;
    stop.disabled = true;
  }

  /** What auto cost beside always thinking, for this one prompt. */
  function compare([auto, , thinking]) {
    if (!auto?.whole || !thinking?.whole || auto.made === null || thinking.made === null) return;
    const tokens = thinking.made - auto.made;
    const time = thinking.duration - auto.duration;
    const key = auto.mode === "thinking" ? "play.same" : tokens >= 0 && time >= 0 ? "play.saved" : "play.compared";
    put(summary, say(key, { tokens: count(Math.abs(tokens)), time: seconds(Math.abs(time)), auto: count(auto.made), thinking: count(thinking.made) }));
  }
}
