"""The ladder: whose word counts. Knows the order of precedence; knows no wire format and does no I/O.

First match wins (docs/routing.md): profile's hard rule, model alias, header, explicit off, soft switch, explicit on,
session, judge. `settle` climbs the rungs that need no judge; `conclude` is the last rung, so that a judge which does
I/O can be awaited in between.
"""

import random
import time
from collections.abc import Callable

from msgspec import structs

from router.decision import Decision, RouteRequest
from router.fields import EFFORT_FIELDS, NO_FIELDS
from router.judges.base import Judge, Judgement
from router.mode import Mode, Reason
from router.policies.in_force import InForce
from router.session import MemorySessions, Sessions, SessionState


def forced_by_profile(request: RouteRequest) -> tuple[Mode, Reason, str] | None:
    """Rung 1: the operator's hard rule."""
    mode = request.profile.mode
    if mode is None:
        return None
    return mode, Reason.PROFILE, f"profile `{request.profile.name}` always answers in {mode} mode"


def named_by_model(request: RouteRequest) -> tuple[Mode, Reason, str] | None:
    """Rung 2: a mode alias in `model`."""
    mode = request.model_mode
    return None if mode is None else (mode, Reason.CLIENT_MODEL, f"the model's name asks for {mode}")


def asked_in_header(request: RouteRequest) -> tuple[Mode, Reason, str] | None:
    """Rung 3: `x-thinkgate-mode`. `auto` leaves the choice to session and judge, whatever the fields say."""
    header = request.header
    if header is None or header == "auto":
        return None
    return header, Reason.CLIENT_HEADER, f"header x-thinkgate-mode: {header}"


def switched_off_by_field(request: RouteRequest) -> tuple[Mode, Reason, str] | None:
    """Rung 4: an explicit off in the protocol's fields."""
    name = request.fields.off
    return (Mode.INSTRUCT, Reason.CLIENT_FIELD, f"`{name}` turns thinking off") if name else None


def soft_switched(request: RouteRequest) -> tuple[Mode, Reason, str] | None:
    """Rung 5: the latest `/think` or `/no_think`."""
    mode = request.switch
    if mode is None:
        return None
    word = "/think" if mode is Mode.THINKING else "/no_think"
    return mode, Reason.SOFT_SWITCH, f"the last soft switch is {word}"


def switched_on_by_field(request: RouteRequest) -> tuple[Mode, Reason, str] | None:
    """Rung 6: an explicit on in the protocol's fields; an effort means what the profile says it means."""
    name = request.fields.on
    if not name:
        return None
    mode: Mode | None = Mode.THINKING
    if name in EFFORT_FIELDS:
        effort = request.fields.effort
        mode = request.profile.effort_modes.get(effort, Mode.THINKING)
        name = f"{name}: {effort}"
        if mode is Mode.INSTRUCT:
            return mode, Reason.CLIENT_FIELD, f"`{name}` means {mode} in profile `{request.profile.name}`"
    return None if mode is None else (mode, Reason.CLIENT_FIELD, f"`{name}` turns thinking on")


_Rung = Callable[[RouteRequest], tuple[Mode, Reason, str] | None]
_ABOVE_HEADER_AUTO: tuple[_Rung, ...] = (forced_by_profile, named_by_model, asked_in_header)
_ALL = (*_ABOVE_HEADER_AUTO, switched_off_by_field, soft_switched, switched_on_by_field)


class ThinkRouter:
    """Decides the mode of a request: intent, then session, then judge and policy.

    `default_mode` answers where the judge fails and the session has no last decision. `clock` gives monotonic seconds,
    `chance` numbers from 0 to 1 for profiles that explore.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        sessions: Sessions | None = None,
        default_mode: Mode = Mode.INSTRUCT,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.judge = judge
        self.sessions: Sessions = MemorySessions() if sessions is None else sessions
        self.default_mode = default_mode
        self._clock = clock
        self._chance = chance

    def decide(self, request: RouteRequest, *, explain: bool = False) -> Decision:
        """The decision for `request`; a judge that raises leads to the default mode, never to an error."""
        settled = self.settle(request)
        return self.judge_and_conclude(request, explain=explain) if settled is None else settled

    def judge_and_conclude(self, request: RouteRequest, *, explain: bool = False) -> Decision:
        """Rung 8 with the router's own judge, for a request that `settle` left open."""
        try:
            judge = self.judge
            judgement = judge.explain(request.conversation) if explain else judge.score(request.conversation)
        except Exception as error:  # the judge is replaceable code, and its failure must not fail a request
            return self.conclude(request, None, failure=type(error).__name__)
        return self.conclude(request, judgement)

    def settle(self, request: RouteRequest) -> Decision | None:
        """Rungs 1 to 7: the decision where somebody's word or the session settles it, else None."""
        if (  # nobody has said a word: most requests
            request.switch is None
            and request.fields is NO_FIELDS
            and request.header is None
            and request.model_mode is None
            and request.profile.mode is None
        ):
            rungs: tuple[_Rung, ...] = ()
        else:
            rungs = _ABOVE_HEADER_AUTO if request.header == "auto" else _ALL
        for rung in rungs:
            verdict = rung(request)
            if verdict is not None:
                mode, reason, because = verdict
                self._remember(request, mode)
                return Decision(mode, reason, because, request.profile.name, budget=request.fields.budget)
        if request.conversation.in_tool_loop:
            state = self._recall(request)
            if state is not None and (request.may_think or state.mode is Mode.INSTRUCT):
                return self._by_session(request, state.mode, "a tool loop stays where it began")
        return None

    def conclude(self, request: RouteRequest, judgement: Judgement | None, *, failure: str = "") -> Decision:
        """Rung 8: from a judgement (None: the judge failed, `failure` says how) to the decision."""
        profile = request.profile
        state = self._recall(request)
        if not request.may_think:
            return self._out_of_budget(request, judgement)
        if judgement is None:
            mode = self.default_mode if state is None else state.mode
            source = "the default mode" if state is None else "the session's last mode"
            return Decision(mode, Reason.JUDGE_FAILED, f"the judge failed ({failure}); {source} is used", profile.name)
        force = request.in_force
        score, threshold = judgement.score, profile.threshold if force is None else force.base
        mode = Mode.THINKING if score >= threshold else Mode.INSTRUCT
        judge = f"{self.judge.name}@{judgement.version}"
        stays = state is not None and mode is not state.mode and abs(score - threshold) < profile.session_margin
        if force is not None and force.raised:
            if (mode is Mode.THINKING) is not stays and score < force.threshold:  # it would think
                return self._saved(request, force, judgement, judge)
            threshold = force.threshold
        if stays:
            because = f"score {score:.3f} is within {profile.session_margin:g} of the threshold: the mode stays"
            return self._by_session(request, mode.other, because, judgement, judge)
        because, propensity = "", None
        if profile.explore and state is None and not request.dry and not (force is not None and force.raised):
            mode, because, propensity = self._explored(mode, score, threshold, profile.explore)
        self._remember(request, mode)
        return Decision(
            mode,
            Reason.JUDGE,
            because,
            profile.name,
            score,
            threshold,
            judge,
            request.fields.budget,
            judgement.features,
            propensity,
        )

    def _explored(self, mode: Mode, score: float, threshold: float, rate: float) -> tuple[Mode, str, float]:
        """The judge's mode, or at `rate` the other one, so that its outcomes become known; with its probability."""
        if self._chance() >= rate:
            return mode, "", 1.0 - rate
        sign = ">=" if mode is Mode.THINKING else "<"
        return mode.other, f"explored, against score {score:.4f} {sign} threshold {threshold:.4g}", rate

    def _saved(self, request: RouteRequest, force: InForce, judgement: Judgement, judge: str) -> Decision:
        """Instruct, for want of capacity or tokens, where it would think else. The session does not remember it."""
        reason, want = (
            (Reason.LOAD, "the thinking pool is under load")
            if force.cause == "load"
            else (Reason.BUDGET, "thinking tokens run low")
        )
        because = f"{want}: the threshold is {force.threshold:.4g} instead of {force.base:.4g}"
        return Decision(
            Mode.INSTRUCT,
            reason,
            because,
            request.profile.name,
            judgement.score,
            force.threshold,
            judge,
            request.fields.budget,
            judgement.features,
        )

    def escalated(self, request: RouteRequest, decision: Decision, because: str) -> Decision:
        """The judge's decision for instruct, given up since the answer did not look right. The session remembers it."""
        self._remember(request, Mode.THINKING)
        return structs.replace(decision, mode=Mode.THINKING, reason=Reason.ESCALATED, because=because, propensity=None)

    def left_to_model(self, request: RouteRequest, judge: str) -> Decision:
        """Rung 8 where the model judges itself. Its verdict comes with its answer; until then the default stands."""
        because = "the model judges itself when it answers"
        return Decision(self.default_mode, Reason.SELF_JUDGED, because, request.profile.name, judge=judge)

    def by_model(self, request: RouteRequest, mode: Mode, judge: str, *, spoken: bool) -> Decision:
        """The decision that a model made itself; `spoken` tells whether in so many words."""
        self._remember(request, mode)
        because = (
            f"the model's own verdict is {mode}" if spoken else f"the model gave no verdict and answered as {mode}"
        )
        return Decision(mode, Reason.SELF_JUDGED, because, request.profile.name, judge=judge)

    def _out_of_budget(self, request: RouteRequest, judgement: Judgement | None) -> Decision:
        """Instruct, whatever the score: the caller's thinking tokens are used up. The session does not remember it."""
        profile = request.profile
        if judgement is None:
            return Decision(Mode.INSTRUCT, Reason.BUDGET, "the thinking tokens are used up", profile.name)
        judge = f"{self.judge.name}@{judgement.version}"
        thinks = judgement.score >= request.threshold
        reason = Reason.BUDGET if thinks else Reason.JUDGE
        because = "the thinking tokens are used up" if thinks else ""
        return Decision(
            Mode.INSTRUCT,
            reason,
            because,
            profile.name,
            judgement.score,
            request.threshold,
            judge,
            request.fields.budget,
            judgement.features,
        )

    def _by_session(
        self,
        request: RouteRequest,
        mode: Mode,
        because: str,
        judgement: Judgement | None = None,
        judge: str = "",
    ) -> Decision:
        self._remember(request, mode)
        return Decision(
            mode,
            Reason.SESSION,
            because,
            request.profile.name,
            None if judgement is None else judgement.score,
            None if judgement is None else request.threshold,
            judge,
            request.fields.budget,
            () if judgement is None else judgement.features,
        )

    def _recall(self, request: RouteRequest) -> SessionState | None:
        # The first turn of a conversation has no past: what an equal opening once got must not colour it.
        seen = request.conversation
        if not request.session or (seen.turns <= 1 and not seen.in_tool_loop):
            return None
        return self.sessions.recall(request.session, self._clock())

    def _remember(self, request: RouteRequest, mode: Mode) -> None:
        if request.session and not request.dry:
            self.sessions.remember(request.session, SessionState(mode, self._clock()))
