// One column of the playground: a stream drawn as it comes, thinking apart from the answer. Knows chat chunks.
import { postStream } from "./api.js";
import { el, put, say, setText } from "./dom.js";
import { badge, explanation } from "./explain.js";
import { feedback } from "./feedback.js";
import { count, seconds } from "./format.js";
import { events } from "./sse.js";

const COUNTED = { prompt: "fact.prompt_tokens", reasoning: "fact.reasoning_tokens", answer: "fact.answer_tokens", ttft: "fact.ttft", tta: "fact.tta", total: "fact.duration" };

/** The decision as the answer's headers tell it, which come before the first token. */
function told(headers) {
  const word = (name) => headers.get(`x-thinkgate-${name}`);
  const number = (name) => (word(name) === null ? null : Number(word(name)));
  return {
    decision_id: word("decision-id"), mode: word("mode"), reason: word("reason"), score: number("score"), threshold: number("threshold"),
    judge: word("judge"), profile: word("profile"), pool: word("pool"), budget: number("budget"),
  };
}

export class Column {
  /** A column for "auto", "instruct" or "thinking". */
  constructor(kind) {
    this.kind = kind;
    this.state = el("span", { class: "state", role: "status" });
    this.mode = el("span");
    this.thought = el("div", { class: "text thought" });
    this.thinking = el("details", { class: "reasoning", open: true, hidden: true }, el("summary", {}, say("column.thinking")), this.thought);
    this.answer = el("div", { class: "text answer" });
    this.error = el("p", { class: "error", role: "alert", hidden: true });
    this.numbers = Object.fromEntries(Object.keys(COUNTED).map((name) => [name, el("dd", {}, "–")]));
    this.why = el("div", { class: "decided" });
    this.verdict = el("div");
    this.node = el("article", { class: `card column ${kind}`, "data-column": kind, "t-aria-label": `column.${kind}` },
      el("header", { class: "row" }, el("h2", { t: `column.${kind}` }), this.mode, this.state),
      this.error, this.thinking,
      el("section", { class: "answered", "t-aria-label": "column.answer" }, this.answer),
      el("dl", { class: "facts figures" }, Object.entries(this.numbers).map(([name, value]) => el("div", {}, el("dt", { t: COUNTED[name] }), value))),
      this.why, this.verdict);
    this.note("column.idle");
  }

  note(key, vars) {
    put(this.state, say(key, vars));
    this.state.className = `state ${key.split(".")[1]}`;
  }

  clear() {
    for (const part of [this.thought, this.answer, this.why, this.verdict, this.mode, this.error]) put(part);
    this.thinking.hidden = this.error.hidden = true;
    this.thinking.open = true;
    for (const value of Object.values(this.numbers)) setText(value, "–");
  }

  /** Ask, and draw until the end. Resolves with what it cost: { mode, made, duration, whole }. */
  async run(route, fields, signal) {
    this.clear();
    this.note("column.waiting");
    const body = { model: this.kind === "auto" ? route : `${route}-${this.kind}`, ...fields };
    const started = performance.now();
    const since = () => (performance.now() - started) / 1e3;
    const out = { mode: "", made: null, duration: 0, whole: false };
    const seen = { reasoning: 0, answer: 0 };
    const ticking = setInterval(() => setText(this.numbers.total, seconds(since())), 100);
    let routing = null;
    let usage = null;
    let finish = "";
    try {
      const response = await postStream("v1/chat/completions", body, signal);
      routing = told(response.headers);
      out.mode = routing.mode;
      put(this.mode, badge(routing.mode));
      if (this.kind === "auto") this.explain(routing, body);
      for await (const data of events(response.body)) {
        if (data === "[DONE]") {
          out.whole = true;
          break;
        }
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Error(chunk.error.message);
        const delta = chunk.choices?.[0]?.delta ?? {};
        const thought = delta.reasoning ?? delta.reasoning_content;
        if (thought) this.grow("reasoning", this.thought, thought, seen, since());
        if (delta.content) this.grow("answer", this.answer, delta.content, seen, since());
        finish = chunk.choices?.[0]?.finish_reason ?? finish;
        usage = chunk.usage ?? usage;
        if (chunk.routing) routing = { ...routing, ...chunk.routing };
      }
      if (!out.whole) throw new Error("the stream ended before [DONE]");
      this.note(finish === "length" ? "column.cut" : "column.done");
    } catch (error) {
      if (error.name === "AbortError") this.note("column.stopped");
      else {
        this.note("column.failed");
        this.error.hidden = false;
        setText(this.error, error.message);
      }
    }
    clearInterval(ticking);
    out.duration = since();
    setText(this.numbers.total, seconds(out.duration));
    this.count(usage, seen, out);
    if (routing?.decision_id) put(this.verdict, feedback(routing.decision_id));
    return out;
  }

  /** More text. A text node is added, so that the browser lays out the new words only. */
  grow(kind, host, words, seen, at) {
    if (!seen.reasoning && !seen.answer) setText(this.numbers.ttft, seconds(at));
    if (kind === "answer" && !seen.answer) {
      setText(this.numbers.tta, seconds(at));
      words = words.trimStart();
    }
    if (kind === "reasoning") this.thinking.hidden = false;
    seen[kind] += 1;
    this.note(kind === "reasoning" ? "column.thinks" : "column.answers");
    setText(this.numbers[kind], `≈ ${count(seen[kind])}`);
    const pinned = host.scrollHeight - host.scrollTop - host.clientHeight < 40;
    host.append(words);
    if (pinned) host.scrollTop = host.scrollHeight;
  }

  /** Tokens as the backend counted them. Where it tells no reasoning tokens they are split as the chunks were. */
  count(usage, seen, out) {
    if (!usage) return;
    out.made = usage.completion_tokens ?? null;
    const told = usage.completion_tokens_details?.reasoning_tokens;
    const chunks = seen.reasoning + seen.answer;
    const thought = told || (chunks ? Math.round(((out.made ?? 0) * seen.reasoning) / chunks) : 0);
    setText(this.numbers.prompt, count(usage.prompt_tokens));
    setText(this.numbers.reasoning, `${told || !thought ? "" : "≈ "}${count(thought)}`);
    setText(this.numbers.answer, `${told || !thought ? "" : "≈ "}${count(Math.max(0, (out.made ?? 0) - thought))}`);
  }

  /** Why auto chose as it did, as soon as the headers tell. */
  explain(routing, body) {
    const { stream, stream_options, ...asked } = body;
    put(this.why, el("details", { open: true, class: "decision-box" }, el("summary", { t: "column.why" }), explanation({ ...routing, duration_s: null, ttft_s: null }, asked)));
  }
}
