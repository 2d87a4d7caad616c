"""The console in real Chromium: key, playground, decisions, feedback, languages, themes, phones."""

import json
import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser.conftest import PATIENCE_MS, Open
from tests.e2e.conftest import KEY, Server, hard_question

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
expect.set_options(timeout=PATIENCE_MS)

TRIES = 6
# Far more steps than the models have learned: what matters is that thinking goes on for seconds, whatever the machine.
LONG = "Work from left to right and keep only the last digit: 7" + "+5*3-4*7+8" * 12
# Text lengths as each frame begins to be painted: what a person can have seen, not what was in the DOM meanwhile.
RECORD_PAINTS = """() => {
  window.paints = {};
  const look = () => {
    for (const column of document.querySelectorAll(".column")) {
      const seen = (window.paints[column.dataset.column] ??= []);
      const now = [".thought", ".answer"].reduce((n, part) => n + column.querySelector(part).textContent.length, 0);
      if (now > (seen.at(-1) ?? 0)) seen.push(now);
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def ask(page: Page, prompt: str) -> None:
    """Send a prompt in the playground, and wait until all three columns have ended."""
    page.locator("#prompt").fill(prompt)
    page.get_by_role("button", name="Ask all three").click()
    for kind in ("auto", "instruct", "thinking"):
        expect(page.locator(f".column.{kind} header .state")).to_have_text(re.compile("done|cut off"))


def test_a_wrong_key_is_said_to_be_wrong_and_the_right_one_is_kept_in_the_tab_alone(
    logging_gateway: Server, open_console: Open
) -> None:
    page = open_console(logging_gateway, key=None)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.get_by_label("API key", exact=True).fill("not-the-key")
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("alert")).to_have_text("This key is not valid. Check it and try again.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    page.get_by_label("API key", exact=True).fill(KEY)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator(".backend").first).to_contain_text("up")
    assert KEY in page.evaluate("() => JSON.stringify({...sessionStorage})")
    assert KEY not in page.evaluate("() => JSON.stringify({...localStorage}) + document.cookie + location.href")
    page.reload()
    page.goto(f"{logging_gateway.url}/console#decisions")
    expect(page.get_by_role("heading", name="Decisions")).to_be_visible()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Change key").click()
    expect(dialog).to_be_visible()


def test_tokens_are_painted_as_they_come(logging_gateway: Server, open_console: Open) -> None:
    page = open_console(logging_gateway, "playground")
    page.get_by_label("Most tokens").fill("800")
    for _ in range(TRIES):  # a browser that is kept from the processor may paint all at once; it will not do so always
        page.evaluate(RECORD_PAINTS)
        ask(page, LONG)
        paints = page.evaluate("() => window.paints")
        if len(paints["thinking"]) >= 3:
            break
    assert len(paints["thinking"]) >= 3, f"lengths of the Thinking column's text, paint by paint: {paints}"


def test_thinking_is_shown_apart_from_the_answer_and_autos_decision_is_explained(
    logging_gateway: Server, open_console: Open
) -> None:
    page = open_console(logging_gateway, "playground")
    prompt, truth = hard_question()
    ask(page, prompt)
    thinking, instruct, auto = (page.locator(f".column.{kind}") for kind in ("thinking", "instruct", "auto"))

    expect(thinking.locator(".thought")).to_be_visible()
    thought, answer = thinking.locator(".thought").inner_text(), thinking.locator(".answer").inner_text()
    assert answer.strip() == truth
    assert len(thought) > len(answer)
    assert "think>" not in thought + answer
    expect(instruct.locator(".reasoning")).to_be_hidden()
    expect(instruct.locator(".answer")).not_to_be_empty()
    for column, mode in ((thinking, "Thinking"), (instruct, "Instruct")):
        expect(column.locator("header .badge")).to_have_text(mode)
        figures = dict(zip(column.locator("dt").all_inner_texts(), column.locator("dd").all_inner_texts(), strict=True))
        assert re.fullmatch(r"\d+", figures["Prompt tokens"])
        assert re.fullmatch(r"(≈ )?[1-9]\d*", figures["Answer tokens"])
        assert re.fullmatch(r"(≈ )?[1-9]\d*" if mode == "Thinking" else "0", figures["Thinking tokens"])
        for name in ("First token", "First of the answer", "Total time"):
            assert re.fullmatch(r"[\d.]+ (µs|ms|s|min)", figures[name]), figures

    # What is explained is what the judge said: the same as a dry run of the same request.
    dry = json.loads(
        page.evaluate(
            """async ([key, prompt]) => await (await fetch("/v1/route", {method: "POST",
            headers: {authorization: `Bearer ${key}`},
            body: JSON.stringify({model: "auto", messages: [{role: "user", content: prompt}]})})).text()""",
            [KEY, prompt],
        )
    )
    expect(auto.locator("header .badge")).to_have_text(dry["mode"].capitalize())
    explained = auto.locator(".explanation")
    expect(explained).to_contain_text("The judge's score decided")
    expect(explained).to_contain_text(f"Score {dry['score']:.4f} is at or above the threshold {dry['threshold']}")
    expect(explained.locator(".gauge")).to_be_visible()
    expect(explained.locator(".pushes li")).to_have_count(len(dry["features"]))
    assert dry["features"]
    expect(explained.locator(".pushes .name").first).to_have_text(dry["features"][0]["name"])


def test_a_decision_shows_up_by_itself_and_opens_into_its_explanation(
    logging_gateway: Server, open_console: Open
) -> None:
    watching = open_console(logging_gateway, "decisions")
    expect(watching.get_by_role("heading", name="Decisions")).to_be_visible()
    before = set(watching.locator(".decision").evaluate_all("(all) => all.map((d) => d.dataset.id)"))
    asking = open_console(logging_gateway, "playground")
    ask(asking, "hello")
    decided = asking.locator(".column.auto .facts dd", has_text="dec_").inner_text()
    assert decided not in before
    row = watching.locator(f'.decision[data-id="{decided}"]')
    expect(row).to_be_visible()
    row.locator("summary").focus()
    watching.keyboard.press("Enter")
    expect(row.locator("blockquote")).to_have_text("hello")
    inside = row.locator(".explanation")
    expect(inside.locator(".gauge")).to_be_visible()
    expect(inside.locator(".pushes li").first).to_be_visible()
    for name in (
        "Answered by",
        "Pool",
        "Judge",
        "Prompt tokens",
        "Answer tokens",
        "First token",
        "Total time",
        "Ended",
    ):
        expect(inside.locator("dt", has_text=name).first).to_be_visible()


def test_text_of_strangers_stays_text(logging_gateway: Server, open_console: Open) -> None:
    evil = '<img src=x onerror="document.title=1"><script>document.title=2</script><b>bold</b>'
    page = open_console(logging_gateway, "playground")
    ask(page, evil)
    page.locator("[data-view=decisions]").click()
    row = page.locator(".decision").first
    row.locator("summary").click()
    expect(row.locator("blockquote")).to_have_text(evil)
    assert page.locator("main img, main script, main b").count() == 0
    assert page.title() == "ThinkGate console"


def test_feedback_reaches_the_log_and_is_there_when_the_decision_is_opened(
    logging_gateway: Server, open_console: Open
) -> None:
    page = open_console(logging_gateway, "playground")
    ask(page, "hello")
    decided = page.locator(".column.auto .facts dd", has_text="dec_").inner_text()
    column = page.locator(".column.auto")
    for _ in range(2):  # twice the same is said once
        column.get_by_role("button", name="Did not need it").click()
        expect(column.locator(".feedback [role=status]")).to_have_text("Thank you, noted.")
    expect(column.get_by_role("button", name="Did not need it")).to_have_attribute("aria-pressed", "true")
    with httpx.Client(
        base_url=logging_gateway.url, headers={"authorization": f"Bearer {KEY}"}, trust_env=False
    ) as http:
        kept = http.get(f"/v1/decisions/{decided}").json()
    assert [said["verdict"] for said in kept["feedback"]] == ["overprovisioned"]

    later = open_console(logging_gateway, "decisions")
    row = later.locator(f'.decision[data-id="{decided}"]')
    row.locator("summary").click()
    expect(row.get_by_role("button", name="Did not need it")).to_have_attribute("aria-pressed", "true")
    expect(row.get_by_role("button", name="Good fit")).to_have_attribute("aria-pressed", "false")


def test_feedback_that_is_not_taken_is_said_to_be_so(open_gateway: Server, open_console: Open) -> None:
    page = open_console(open_gateway, "playground", key=None)
    ask(page, "hello")
    column = page.locator(".column.auto")
    column.get_by_role("button", name="Good fit").click()
    expect(column.locator(".feedback [role=status]")).to_contain_text(
        "This gateway takes no feedback on this decision:"
    )
    expect(column.get_by_role("button", name="Good fit")).to_have_attribute("aria-pressed", "false")


def test_savings_are_shown_with_their_interval(logging_gateway: Server, open_console: Open) -> None:
    page = open_console(logging_gateway, "decisions")
    amount = {"used": 1000.0, "saved": 2500.0, "low": -120.0, "high": 3100.0, "share": 0.62}
    total = {"instruct": 40, "thinking": 31, "extrapolated": 3, "not_compared": 0, "tokens": amount, "seconds": amount}
    page.route("**/v1/savings", lambda route: route.fulfill(json={"object": "savings", "total": total}))
    page.locator("[data-view=overview]").click()
    shown = page.locator(".savings")
    expect(shown).to_contain_text("2,500")
    expect(shown).to_contain_text("62%")
    expect(shown).to_contain_text("95% interval: -120 to 3,100")
    expect(shown).to_contain_text("95% interval: -2 min to 51.7 min")
    expect(shown).to_contain_text("40 answers without thinking, compared with 31 that thought.")
    page.unroute("**/v1/savings")
    page.reload()  # the real gateway has compared nothing yet, and says so
    expect(page.locator(".savings")).to_contain_text("Too few thinking answers to compare with yet")


def test_the_overview_draws_what_the_gateway_counts(logging_gateway: Server, open_console: Open) -> None:
    asking = open_console(logging_gateway, "playground")
    ask(asking, "hello")
    page = open_console(logging_gateway)
    expect(page.get_by_role("img", name=re.compile(r"Histogram of [1-9]\d* scores"))).to_be_visible()
    expect(page.locator(".chart line.threshold").first).to_be_attached()
    expect(page.locator(".chart").first.locator("rect").first).to_be_attached()
    tiles = page.locator(".tile").all_inner_texts()
    counted = page.evaluate(
        """async () => (await (await fetch("/metrics")).text()).split("\\n")
        .filter((l) => l.startsWith("thinkgate_decisions_total{")).map((l) => Number(l.split(" ").at(-1)))"""
    )
    assert f"\n{sum(counted):.0f}\n" in tiles[1]
    expect(page.locator(".backend")).to_have_count(2)
    expect(page.locator(".dot.up")).to_have_count(2)
    ask(asking, "hello")  # three more, while somebody looks
    expect(page.locator(".tile").nth(1)).to_contain_text(f"{sum(counted) + 3:.0f}")
    expect(page.locator(".chart").first.locator("g:not(.old) rect").first).to_be_attached()


def test_language_and_theme_follow_the_browser_and_can_be_switched(logging_gateway: Server, open_console: Open) -> None:
    page = open_console(logging_gateway, "playground", locale="zh-CN", color_scheme="dark")
    background = "() => getComputedStyle(document.body).backgroundColor"
    expect(page.get_by_role("button", name="三种都问")).to_be_visible()
    assert page.evaluate("() => document.documentElement.lang") == "zh-CN"
    dark = page.evaluate(background)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(background)
    assert light != dark
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Ask all three")).to_be_visible()
    expect(page.locator("#prompt")).to_have_attribute("placeholder", re.compile("^Ask once"))
    assert not re.search(r"[\u4e00-\u9fff]", page.locator("main").inner_text())
    for name, colour in (("light", light), ("dark", dark)):
        page.locator("#theme").click()
        expect(page.locator("#theme")).to_have_text(f"Theme: {name}")
        assert page.evaluate(background) == colour
    page.reload()
    expect(page.get_by_role("button", name="Ask all three")).to_be_visible()
    assert page.evaluate(background) == dark
    page.locator("#theme").click()
    assert page.evaluate(background) == light  # the system's again


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_never_scrolls_sideways(logging_gateway: Server, open_console: Open, width: int) -> None:
    phone = {"viewport": {"width": width, "height": 780}, "is_mobile": True, "has_touch": True}
    page = open_console(logging_gateway, **phone)
    expect(page.locator(".backend").first).to_be_visible()
    assert page.evaluate(TOO_WIDE) <= 0
    page.locator("[data-view=playground]").tap()
    ask(page, "hello " + "w" * 300)
    expect(page.locator(".column.auto .gauge")).to_be_visible()
    assert page.evaluate(TOO_WIDE) <= 0
    page.locator("[data-view=decisions]").tap()
    page.locator(".decision summary").first.tap()
    expect(page.locator(".decision .explanation").first).to_be_visible()
    assert page.evaluate(TOO_WIDE) <= 0
    page.get_by_role("button", name="中文").tap()
    assert page.evaluate(TOO_WIDE) <= 0


def test_it_works_by_keyboard_alone(logging_gateway: Server, open_console: Open) -> None:
    page = open_console(logging_gateway)
    page.locator("body").press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.locator("[data-view=playground]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-view=playground]")).to_have_attribute("aria-current", "page")
    page.locator("#prompt").focus()
    page.keyboard.type("hello")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".column.auto .answer")).not_to_be_empty()


def test_a_stream_can_be_stopped(logging_gateway: Server, open_console: Open) -> None:
    page = open_console(logging_gateway, "playground")
    page.route("**/v1/chat/completions", lambda route: None)  # never answered
    page.locator("#prompt").fill("hello")
    page.get_by_role("button", name="Ask all three").click()
    page.get_by_role("button", name="Stop").click()
    for kind in ("auto", "instruct", "thinking"):
        expect(page.locator(f".column.{kind} header .state")).to_have_text("stopped")
    expect(page.get_by_role("button", name="Ask all three")).to_be_enabled()


def test_without_keys_and_without_a_log_it_works_and_says_what_is_missing(
    open_gateway: Server, open_console: Open
) -> None:
    page = open_console(open_gateway, "decisions", key=None)
    expect(page.locator(".hint")).to_contain_text("There is no decision log.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.locator("[data-view=playground]").click()
    ask(page, "hello")
    expect(page.locator(".column.auto .explanation .pushes li").first).to_be_visible()
    page.locator("[data-view=overview]").click()
    expect(page.locator(".savings")).to_contain_text("There are no savings to tell")


def test_a_gateway_that_is_gone_is_said_to_be_gone(logging_gateway: Server, open_console: Open) -> None:
    page = open_console(logging_gateway)
    expect(page.locator(".backend").first).to_be_visible()
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("The gateway cannot be reached.")
    page.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()


def test_events_are_read_wherever_the_bytes_are_cut(logging_gateway: Server, open_console: Open) -> None:
    page = open_console(logging_gateway)
    found = page.evaluate(
        """async () => {
          const { events } = await import("/console/sse.js");
          const text = ": hello\\n\\ndata: 你好\\r\\n\\r\\ndata: a\\ndata: b\\n\\nevent: x\\ndata:c\\n\\ndata: end";
          const bytes = new TextEncoder().encode(text);
          const all = [];
          for (let size = 1; size <= bytes.length; size++) {
            const parts = [];
            for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size));
            const body = new ReadableStream({ pull(c) { parts.length ? c.enqueue(parts.shift()) : c.close(); } });
            const got = [];
            for await (const data of events(body)) got.push(data);
            all.push(got);
          }
          return all;
        }"""
    )
    assert len(found) > 60
    assert all(events == ["你好", "a\nb", "c", "end"] for events in found)


def test_metrics_are_read_as_prometheus_writes_them(logging_gateway: Server, open_console: Open) -> None:
    page = open_console(logging_gateway)
    read = page.evaluate(
        r"""async () => {
          const { parse, total, by, buckets, mean } = await import("/console/metrics.js");
          const samples = parse('# HELP x y\nc_total{mode="a",r="q\\"\\n}"} 2\nc_total{mode="b",r=""} 3.5e1\n' +
            'h_bucket{le="0.5"} 1.0\nh_bucket{le="+Inf"} 4.0\nh_count 4\nh_sum 6\nplain 7 1795516271\n');
          return { all: total(samples, "c_total"), a: total(samples, "c_total", { mode: "a" }),
            modes: by(samples, "c_total", "mode"),
            label: samples.get("c_total")[0].labels.r, plain: total(samples, "plain"), none: mean(samples, "nothing"),
            counts: buckets(samples, "h").map((b) => b.n), mean: mean(samples, "h") };
        }"""
    )
    assert read == {
        "all": 37,
        "a": 2,
        "modes": {"a": 2, "b": 35},
        "label": 'q"\n}',
        "plain": 7,
        "none": None,
        "counts": [1, 3],
        "mean": 1.5,
    }
