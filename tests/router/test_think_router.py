"""The ladder: every rung, every pair of rungs, the session and the judge's failure."""

from itertools import combinations

import msgspec
import pytest

from router.conversation import Conversation
from router.decision import RouteRequest
from router.fields import FieldIntent
from router.judges.base import Feature, Judgement
from router.judges.constant import ConstantJudge
from router.mode import Mode, Reason
from router.profile import Profile
from router.session import MemorySessions, SessionState
from router.think_router import ThinkRouter

INSTRUCT, THINKING = Mode.INSTRUCT, Mode.THINKING
SESSION = "s"


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s


class ScriptedJudge:
    """Gives the scores it is told, counts how often it was asked, or raises."""

    name = "scripted"
    version = "7"

    def __init__(self, *scores, error=None):
        self.scores = list(scores)
        self.error = error
        self.asked = 0

    def score(self, conversation):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return Judgement(self.scores.pop(0) if len(self.scores) > 1 else self.scores[0], self.version)

    def explain(self, conversation):
        judgement = self.score(conversation)
        return Judgement(judgement.score, judgement.version, (Feature("a word", 1.5),))


def the_rung(name, mode):
    """What a request needs for the rung `name` to ask for `mode`; None where that rung cannot ask for it."""
    if name == "off":
        return {"off": "enable_thinking"} if mode is INSTRUCT else None
    if name == "on":
        return {"on": "enable_thinking"} if mode is THINKING else None
    return {name: mode}


RUNGS = {
    "profile": Reason.PROFILE,
    "model": Reason.CLIENT_MODEL,
    "header": Reason.CLIENT_HEADER,
    "off": Reason.CLIENT_FIELD,
    "switch": Reason.SOFT_SWITCH,
    "on": Reason.CLIENT_FIELD,
    "session": Reason.SESSION,
    "judge": Reason.JUDGE,
}


def decide(**asked):
    """The decision where each named rung asks for a mode; the judge is ScriptedJudge."""
    judge = ScriptedJudge(1.0 if asked.get("judge", INSTRUCT) is THINKING else 0.0)
    sessions = MemorySessions()
    if "session" in asked:
        sessions.remember(SESSION, SessionState(asked["session"], 1000.0))
    request = RouteRequest(
        profile=Profile(mode=asked.get("profile")),
        conversation=Conversation(ask="x", in_tool_loop="session" in asked),
        model_mode=asked.get("model"),
        header=asked.get("header"),
        fields=FieldIntent(off=asked.get("off", ""), on=asked.get("on", "")),
        switch=asked.get("switch"),
        session=SESSION,
    )
    decision = ThinkRouter(judge, sessions=sessions, clock=Clock()).decide(request)
    return decision, judge


CASES = [(name, mode) for name in RUNGS for mode in Mode if the_rung(name, mode) is not None]
PAIRS = [
    (upper, lower, mode)
    for upper, lower in combinations(RUNGS, 2)
    for mode in Mode
    if the_rung(upper, mode) is not None and the_rung(lower, mode.other) is not None
]


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_each_rung_alone_decides_and_gives_its_reason(name, mode):
    decision, judge = decide(**{**({"judge": mode.other} if name != "judge" else {}), **the_rung(name, mode)})
    assert (decision.mode, decision.reason) == (mode, RUNGS[name])
    assert judge.asked == (1 if name == "judge" else 0)


@pytest.mark.parametrize(("upper", "lower", "mode"), PAIRS)
def test_the_higher_rung_beats_the_lower_one(upper, lower, mode):
    decision, _ = decide(**the_rung(upper, mode), **the_rung(lower, mode.other))
    assert (decision.mode, decision.reason) == (mode, RUNGS[upper])


def test_every_pair_of_rungs_is_covered():
    covered = {(upper, lower) for upper, lower, _ in PAIRS}
    assert covered == set(combinations(RUNGS, 2)) - {("switch", "off")}


def test_off_beats_a_soft_switch_and_a_soft_switch_beats_on():
    assert decide(off="enable_thinking", switch=THINKING)[0].mode is INSTRUCT
    assert decide(switch=INSTRUCT, on="enable_thinking")[0].mode is INSTRUCT
    assert decide(off="thinking", on="enable_thinking")[0].mode is INSTRUCT


@pytest.mark.parametrize(
    "word", [{"off": "enable_thinking"}, {"on": "enable_thinking"}, {"switch": THINKING}, {"switch": INSTRUCT}]
)
@pytest.mark.parametrize("judged", list(Mode))
def test_header_auto_leaves_the_choice_to_the_judge_whatever_fields_and_switches_say(word, judged):
    decision, judge = decide(header="auto", judge=judged, **word)
    assert (decision.mode, decision.reason, judge.asked) == (judged, Reason.JUDGE, 1)


def test_header_auto_does_not_overrule_profile_model_name_or_session():
    assert decide(header="auto", profile=THINKING)[0].reason is Reason.PROFILE
    assert decide(header="auto", model=THINKING)[0].reason is Reason.CLIENT_MODEL
    assert decide(header="auto", session=THINKING)[0].reason is Reason.SESSION


@pytest.mark.parametrize("field", ["enable_thinking", "chat_template_kwargs.enable_thinking"])
def test_the_decision_names_the_field_that_made_it(field):
    assert field in decide(off=field)[0].because


def effort_request(effort, meaning, **more):
    profile = Profile(effort_modes=meaning)
    return RouteRequest(
        profile=profile,
        conversation=Conversation(ask="x"),
        fields=FieldIntent(on="reasoning_effort", effort=effort),
        session=SESSION,
        **more,
    )


@pytest.mark.parametrize(
    ("effort", "meaning", "mode", "reason"),
    [
        ("medium", {}, THINKING, Reason.CLIENT_FIELD),
        ("medium", {"medium": None}, INSTRUCT, Reason.JUDGE),
        ("medium", {"medium": INSTRUCT}, INSTRUCT, Reason.CLIENT_FIELD),
        ("medium", {"medium": THINKING}, THINKING, Reason.CLIENT_FIELD),
        ("high", {"medium": None}, THINKING, Reason.CLIENT_FIELD),
    ],
)
def test_an_effort_means_what_the_profile_says_it_means(effort, meaning, mode, reason):
    decision = ThinkRouter(ConstantJudge(0.0)).decide(effort_request(effort, meaning))
    assert (decision.mode, decision.reason) == (mode, reason)


def judged(conversation=None, session=SESSION, **profile):
    """A later turn of a session."""
    conversation = conversation or Conversation(ask="x", turns=2)
    return RouteRequest(profile=Profile(**profile), conversation=conversation, session=session)


@pytest.mark.parametrize(
    ("score", "threshold", "mode"),
    [(0.5, 0.5, THINKING), (0.4999, 0.5, INSTRUCT), (1.0, 1.01, INSTRUCT), (0.0, 0.0, THINKING), (0.7, 0.69, THINKING)],
)
def test_thinking_where_the_score_reaches_the_threshold(score, threshold, mode):
    decision = ThinkRouter(ConstantJudge(score)).decide(judged(threshold=threshold))
    assert (decision.mode, decision.reason) == (mode, Reason.JUDGE)
    assert (decision.score, decision.threshold, decision.judge) == (score, threshold, "constant@1")


def test_explaining_gives_the_same_decision_with_the_features_that_made_it():
    router = ThinkRouter(ScriptedJudge(0.9))
    plain, explained = router.decide(judged(session="a")), router.decide(judged(session="b"), explain=True)
    assert plain.features == ()
    assert [feature.name for feature in explained.features] == ["a word"]
    assert (plain.mode, plain.score) == (explained.mode, explained.score)


def test_a_decision_by_score_can_say_why():
    thinking = ThinkRouter(ConstantJudge(0.9)).decide(judged())
    instruct = ThinkRouter(ConstantJudge(0.1)).decide(judged())
    assert thinking.by_score() == "score 0.9000 >= threshold 0.5"
    assert instruct.by_score() == "score 0.1000 < threshold 0.5"


def test_a_score_within_the_margin_does_not_change_a_sessions_mode():
    router = ThinkRouter(ScriptedJudge(0.9, 0.45, 0.39, 0.55, 0.61), clock=Clock())
    seen = [router.decide(judged(session_margin=0.1)) for _ in range(5)]
    assert [d.mode for d in seen] == [THINKING, THINKING, INSTRUCT, INSTRUCT, THINKING]
    assert [d.reason for d in seen] == [Reason.JUDGE, Reason.SESSION, Reason.JUDGE, Reason.SESSION, Reason.JUDGE]
    assert seen[1].score == 0.45, "the score that was overruled is told"


@pytest.mark.parametrize(("score", "mode"), [(0.25, INSTRUCT), (0.2500001, THINKING)])
def test_a_score_exactly_at_the_margin_changes_the_mode(score, mode):
    router = ThinkRouter(ScriptedJudge(1.0, score))
    router.decide(judged())
    assert router.decide(judged(session_margin=0.25)).mode is mode


def test_without_a_margin_the_score_decides_each_turn():
    router = ThinkRouter(ScriptedJudge(0.9, 0.49, 0.51))
    assert [router.decide(judged(session_margin=0)).mode for _ in range(3)] == [THINKING, INSTRUCT, THINKING]


def test_the_first_turn_of_a_conversation_has_no_past():
    router = ThinkRouter(ScriptedJudge(0.9, 0.45))
    router.decide(judged())
    assert router.decide(judged(Conversation(ask="x", turns=1))).mode is INSTRUCT


def test_a_clients_word_is_remembered_for_the_next_turn():
    router = ThinkRouter(ScriptedJudge(0.45))
    router.decide(msgspec.structs.replace(judged(), header=THINKING))
    assert router.decide(judged()).mode is THINKING


def test_another_session_is_not_held_by_this_one():
    router = ThinkRouter(ScriptedJudge(0.9, 0.45))
    router.decide(judged(session="a"))
    assert router.decide(judged(session="b")).mode is INSTRUCT


def test_a_request_without_a_session_is_held_by_nothing():
    router = ThinkRouter(ScriptedJudge(0.9, 0.45))
    router.decide(judged(session=""))
    assert router.decide(judged(session="")).mode is INSTRUCT


def test_a_tool_loop_stays_where_it_began_and_asks_no_judge():
    judge = ScriptedJudge(0.9, 0.0)
    router = ThinkRouter(judge)
    router.decide(judged())
    loop = router.decide(judged(Conversation(ask="x", in_tool_loop=True)))
    assert (loop.mode, loop.reason, judge.asked) == (THINKING, Reason.SESSION, 1)


def test_a_tool_loop_of_an_unknown_session_is_judged():
    decision = ThinkRouter(ScriptedJudge(0.9)).decide(judged(Conversation(ask="x", in_tool_loop=True)))
    assert (decision.mode, decision.reason) == (THINKING, Reason.JUDGE)


def test_a_forgotten_session_holds_nothing():
    clock = Clock()
    router = ThinkRouter(ScriptedJudge(0.9, 0.45), sessions=MemorySessions(ttl_s=60), clock=clock)
    router.decide(judged())
    clock.now_s = 1061.0
    assert router.decide(judged()).reason is Reason.JUDGE


@pytest.mark.parametrize("default", list(Mode))
def test_a_judge_that_fails_leads_to_the_default_mode(default):
    router = ThinkRouter(ScriptedJudge(error=ZeroDivisionError("secret prompt")), default_mode=default)
    decision = router.decide(judged())
    assert (decision.mode, decision.reason) == (default, Reason.JUDGE_FAILED)
    assert "secret" not in decision.because
    assert decision.score is None


def test_a_judge_that_fails_within_a_session_keeps_its_last_mode():
    judge = ScriptedJudge(0.9)
    router = ThinkRouter(judge, default_mode=INSTRUCT)
    router.decide(judged())
    judge.error = RuntimeError()
    decision = router.decide(judged())
    assert (decision.mode, decision.reason) == (THINKING, Reason.JUDGE_FAILED)


def test_a_failed_judge_does_not_become_the_sessions_memory():
    judge = ScriptedJudge(0.45, error=RuntimeError())
    router = ThinkRouter(judge, default_mode=THINKING)
    router.decide(judged())
    judge.error = None
    assert router.decide(judged()).mode is INSTRUCT


def test_the_thinking_budget_of_the_request_is_kept_in_the_decision():
    request = msgspec.structs.replace(judged(), fields=FieldIntent(budget=300))
    assert ThinkRouter(ConstantJudge(1.0)).decide(request).budget == 300


def test_the_same_request_gives_the_same_decision():
    router = ThinkRouter(ConstantJudge(0.7))
    assert router.decide(judged(session="")) == router.decide(judged(session=""))


def test_a_dry_run_leaves_no_trace_in_the_session():
    router = ThinkRouter(ScriptedJudge(0.9, 0.45))
    dry = RouteRequest(
        profile=Profile(), conversation=Conversation(ask="x", turns=2), switch=THINKING, session=SESSION, dry=True
    )
    assert router.decide(dry).mode is THINKING
    assert router.sessions.recall(SESSION, 0.0) is None


# ------------------------------------------------------------------ thinking tokens that are used up


def _request(**changes):
    profile = changes.pop("profile", Profile())
    conversation = changes.pop("conversation", Conversation(ask="x", turns=1))
    return RouteRequest(profile=profile, conversation=conversation, may_think=False, **changes)


def test_without_thinking_tokens_a_high_score_is_answered_in_instruct_mode():
    decision = ThinkRouter(ConstantJudge(score=0.9)).decide(_request())
    assert (decision.mode, decision.reason, decision.score) == (Mode.INSTRUCT, Reason.BUDGET, 0.9)


def test_without_thinking_tokens_a_low_score_is_the_judges_word_as_ever():
    decision = ThinkRouter(ConstantJudge(score=0.1)).decide(_request())
    assert (decision.mode, decision.reason) == (Mode.INSTRUCT, Reason.JUDGE)


def test_without_thinking_tokens_a_failing_judge_and_a_thinking_default_lead_to_instruct():
    decision = ThinkRouter(ConstantJudge(), default_mode=Mode.THINKING).conclude(_request(), None, failure="X")
    assert (decision.mode, decision.reason) == (Mode.INSTRUCT, Reason.BUDGET)


def test_without_thinking_tokens_a_tool_loop_that_thinks_is_judged_anew():
    router = ThinkRouter(ConstantJudge(score=0.9))
    loop = Conversation(ask="x", turns=3, in_tool_loop=True)
    router.decide(RouteRequest(profile=Profile(), conversation=loop, session="s"))
    decision = router.decide(_request(conversation=loop, session="s"))
    assert (decision.mode, decision.reason) == (Mode.INSTRUCT, Reason.BUDGET)
    again = router.decide(RouteRequest(profile=Profile(), conversation=loop, session="s"))
    assert again.mode is Mode.THINKING, "the session has not learned instruct mode from an empty purse"


def test_the_clients_own_word_is_not_turned_round_by_a_budget():
    decision = ThinkRouter(ConstantJudge(score=0.9)).decide(_request(model_mode=Mode.THINKING))
    assert (decision.mode, decision.reason) == (Mode.THINKING, Reason.CLIENT_MODEL)


class Chance:
    """Numbers as told, and how many were asked for."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def __call__(self):
        return self.numbers.pop(0)


def exploring(score, *numbers, rate=0.2, state=None, **more):
    chance, sessions = Chance(*numbers), MemorySessions()
    if state is not None:
        sessions.remember(SESSION, SessionState(state, 1000.0))
    router = ThinkRouter(ConstantJudge(score), sessions=sessions, clock=Clock(), chance=chance)
    usual = {"conversation": Conversation(ask="x"), "session": SESSION}
    return router.decide(RouteRequest(profile=Profile(explore=rate), **usual | more)), chance


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_chance_turns_the_judges_mode_at_the_rate_and_says_so(score):
    judged = THINKING if score else INSTRUCT
    turned, _ = exploring(score, 0.19)
    assert (turned.mode, turned.reason, turned.propensity) == (judged.other, Reason.JUDGE, 0.2)
    assert turned.because.startswith("explored, against score")
    kept, _ = exploring(score, 0.2)
    assert (kept.mode, kept.propensity, kept.because) == (judged, 0.8, "")


def test_exploration_is_off_where_nobody_asked_for_it():
    decision, chance = exploring(1.0, 0.0, rate=0.0)
    assert (decision.mode, decision.propensity, len(chance.numbers)) == (THINKING, None, 1)


@pytest.mark.parametrize(
    "word",
    [
        {"model_mode": THINKING},
        {"header": INSTRUCT},
        {"fields": FieldIntent(off="enable_thinking")},
        {"fields": FieldIntent(on="enable_thinking")},
        {"switch": THINKING},
        {"profile": Profile(mode=THINKING, explore=0.5)},
        {"may_think": False},
        {"dry": True},
        {"state": THINKING, "conversation": Conversation(ask="x", turns=2)},
        {"state": THINKING, "conversation": Conversation(ask="x", turns=2, in_tool_loop=True)},
    ],
)
@pytest.mark.parametrize("score", [0.0, 1.0])
def test_words_sessions_limits_and_dry_runs_are_never_explored(word, score):
    state = word.get("state")
    request = {"profile": Profile(explore=0.5), "conversation": Conversation(ask="x"), "session": SESSION, **word}
    request.pop("state", None)
    decisions = []
    for chance in (Chance(), lambda: 1.0):  # the first would raise where it is asked
        sessions = MemorySessions()
        if state is not None:
            sessions.remember(SESSION, SessionState(state, 1000.0))
        router = ThinkRouter(ConstantJudge(score), sessions=sessions, clock=Clock(), chance=chance)
        decisions.append(router.decide(RouteRequest(**request)))
    assert decisions[0] == decisions[1]
    assert decisions[0].propensity is None


def test_a_session_remembers_the_explored_mode():
    sessions = MemorySessions()
    router = ThinkRouter(ConstantJudge(1.0), sessions=sessions, clock=Clock(), chance=Chance(0.0))
    router.decide(RouteRequest(profile=Profile(explore=0.5), conversation=Conversation(ask="x"), session=SESSION))
    assert sessions.recall(SESSION, 1000.0).mode is INSTRUCT
