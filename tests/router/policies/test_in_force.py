"""The threshold in force, and what the ladder makes of it."""

import pytest

from router.conversation import Conversation
from router.decision import RouteRequest
from router.judges import ConstantJudge
from router.judges.base import Judgement
from router.mode import Mode, Reason
from router.policies.in_force import NEVER, InForce
from router.profile import Profile
from router.session import SessionState
from router.think_router import ThinkRouter

TALK = Conversation(ask="and then?", turns=3)


def concluded(score, force, *, last=None, margin=0.1, router=None):
    router = router or ThinkRouter(ConstantJudge(0.5), clock=lambda: 0.0)
    if last is not None:
        router.sessions.remember("s", SessionState(last, 0.0))
    request = RouteRequest(Profile(session_margin=margin), TALK, session="s", in_force=force)
    return router.conclude(request, Judgement(score, "1"))


def test_the_larger_margin_counts_and_gives_the_reason():
    force = InForce(0.5, load=0.2, budget=0.1)
    assert (force.threshold, force.cause) == (0.7, "load")
    force = InForce(0.5, load=0.1, budget=0.2)
    assert (force.threshold, force.cause) == (0.7, "budget")
    assert InForce(0.9, load=0.3).threshold == NEVER


@pytest.mark.parametrize(
    ("score", "force", "mode", "reason"),
    [
        (0.6, InForce(0.55), Mode.THINKING, Reason.JUDGE),
        (0.5, InForce(0.55), Mode.INSTRUCT, Reason.JUDGE),
        (0.6, InForce(0.5, load=0.2), Mode.INSTRUCT, Reason.LOAD),
        (0.6, InForce(0.5, budget=0.2), Mode.INSTRUCT, Reason.BUDGET),
        (0.4, InForce(0.5, load=0.2), Mode.INSTRUCT, Reason.JUDGE),  # would not have thought anyway
        (0.8, InForce(0.5, load=0.2), Mode.THINKING, Reason.JUDGE),  # far from the threshold: not shed
        (1.0, InForce(0.5, budget=NEVER), Mode.INSTRUCT, Reason.BUDGET),
    ],
)
def test_what_would_think_is_saved_below_the_raised_threshold(score, force, mode, reason):
    decision = concluded(score, force)
    assert (decision.mode, decision.reason, decision.threshold) == (mode, reason, force.threshold)
    assert (decision.because == "") == (reason is Reason.JUDGE)


def test_the_words_tell_both_thresholds():
    assert concluded(0.6, InForce(0.5, load=0.2)).because == (
        "the thinking pool is under load: the threshold is 0.7 instead of 0.5"
    )
    assert concluded(0.6, InForce(0.5, budget=0.2)).because == (
        "thinking tokens run low: the threshold is 0.7 instead of 0.5"
    )


def test_a_session_is_saved_too_but_remembers_its_mode():
    router = ThinkRouter(ConstantJudge(0.5), clock=lambda: 0.0)
    held = concluded(0.45, InForce(0.5, load=0.2), last=Mode.THINKING, router=router)
    assert (held.mode, held.reason) == (Mode.INSTRUCT, Reason.LOAD)
    assert router.sessions.recall("s", 0.0).mode is Mode.THINKING
    back = concluded(0.45, InForce(0.5), router=router)
    assert (back.mode, back.reason) == (Mode.THINKING, Reason.SESSION)


def test_a_session_that_did_not_think_stays_by_itself():
    decision = concluded(0.55, InForce(0.5, load=0.2), last=Mode.INSTRUCT)
    assert (decision.mode, decision.reason) == (Mode.INSTRUCT, Reason.SESSION)


def test_the_sessions_margin_is_about_the_threshold_before_it_was_raised():
    decision = concluded(0.75, InForce(0.5, load=0.2), last=Mode.INSTRUCT)
    assert (decision.mode, decision.reason) == (Mode.THINKING, Reason.JUDGE)


@pytest.mark.parametrize(("force", "explored"), [(InForce(0.5), True), (InForce(0.5, load=0.1), False)])
def test_nothing_is_explored_while_thinking_is_saved(force, explored):
    router = ThinkRouter(ConstantJudge(0.5), chance=lambda: 0.0)
    request = RouteRequest(Profile(explore=0.1), TALK, in_force=force)
    decision = router.conclude(request, Judgement(0.3, "1"))
    assert (decision.mode is Mode.THINKING) is explored
    assert (decision.propensity is not None) is explored


def test_an_escalated_decision_was_nobodys_chance():
    router = ThinkRouter(ConstantJudge(0.5), chance=lambda: 1.0)
    request = RouteRequest(Profile(explore=0.1), TALK)
    decision = router.conclude(request, Judgement(0.45, "1"))
    assert decision.propensity == 0.9
    escalated = router.escalated(request, decision, "why")
    assert (escalated.mode, escalated.reason, escalated.because) == (Mode.THINKING, Reason.ESCALATED, "why")
    assert (escalated.score, escalated.propensity) == (0.45, None)
