"""Runs a profile's policies over a trace: the router's own code, and a model of a thinking pool. Knows no HTTP.

The pool has `places` that each write `speed` tokens a second; who finds none waits in line. Nothing depends on a clock
or on chance: the same trace gives the same figures.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from router.conversation import Conversation
from router.decision import RouteRequest
from router.judges import ConstantJudge
from router.judges.base import Judgement
from router.mode import Mode, Reason
from router.policies.controls import Controls, Taken
from router.profile import Profile
from router.think_router import ThinkRouter
from tests.simulation.traffic import Arrival

Series = NDArray[np.float64]
_TALK = Conversation(ask="")


@dataclass(frozen=True, slots=True)
class PoolModel:
    """None of it is limited where `places` is 0: then every request begins to think at once."""

    places: int = 0
    speed: float = 50.0


@dataclass
class Trace:
    """One value a request, in order: what was decided, and how the pool stood at that moment. `spent` holds the time
    and the tokens of each thinking that ended."""

    at_s: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    thought: list[bool] = field(default_factory=list)
    wanted: list[bool] = field(default_factory=list)
    reason: list[Reason] = field(default_factory=list)
    pressure: list[float] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)
    spent: list[tuple[float, int]] = field(default_factory=list)

    def series(self, name: str) -> Series:
        """One of the fields as numbers."""
        return np.asarray(getattr(self, name), float)


def simulate(
    profile: Profile,
    arrivals: Sequence[Arrival],
    pool: PoolModel | None = None,
    room: Callable[[float], float] = lambda _: 1.0,
    spend: Callable[[int, float], None] = lambda *_: None,
) -> Trace:
    """What the profile's policies make of the traffic. `room(now_s)` is what the caller's own account has left, and
    `spend(tokens, now_s)` is told of what a thinking has used when it ends."""
    pool = PoolModel() if pool is None else pool
    router, controls, trace = ThinkRouter(ConstantJudge(0.5)), Controls(profile), Trace()
    line: deque[tuple[float, int, Taken]] = deque()
    endings: list[tuple[float, int, Taken]] = []

    def begin(now_s: float, since_s: float, tokens: int, taken: Taken) -> None:
        trace.waited_s.append(now_s - since_s)
        heappush(endings, (now_s + tokens / pool.speed, tokens, taken))

    def advance(until_s: float) -> None:
        while endings and endings[0][0] <= until_s:
            now_s, tokens, taken = heappop(endings)
            controls.thinking_ended(taken, tokens, now_s)
            spend(tokens, now_s)
            trace.spent.append((now_s, tokens))
            if line:
                begin(now_s, *line.popleft())

    for arrival in arrivals:
        now_s = arrival.at_s
        advance(now_s)
        pressure = (len(endings) + len(line)) / pool.places if pool.places else 0.0
        force = controls.in_force(now_s, pressure, room(now_s))
        request = RouteRequest(profile, _TALK, in_force=force)
        decision = router.conclude(request, Judgement(arrival.score, "1"))
        controls.decided(decision)
        thought = decision.mode is Mode.THINKING
        trace.at_s.append(now_s)
        trace.score.append(arrival.score)
        trace.base.append(force.base)
        trace.threshold.append(force.threshold)
        trace.thought.append(thought)
        trace.wanted.append(arrival.score >= force.base)
        trace.reason.append(decision.reason)
        trace.pressure.append(pressure)
        trace.waiting.append(len(line))
        if thought:
            taken = controls.thinking_began(now_s)
            if pool.places and len(endings) >= pool.places:
                line.append((now_s, arrival.tokens, taken))
            else:
                begin(now_s, now_s, arrival.tokens, taken)
    advance(float("inf"))
    return trace
