"""Several gateways that run one profile's controllers together: the router's own code, and words that travel every
`interval_s`. Knows no HTTP and no Redis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np

from router.conversation import Conversation
from router.decision import RouteRequest
from router.judges import ConstantJudge
from router.judges.base import Judgement
from router.mode import Mode
from router.policies.controls import Controls, Taken
from router.policies.peers import Word
from router.profile import Profile
from router.think_router import ThinkRouter
from tests.simulation.simulation import Series
from tests.simulation.traffic import Arrival

_TALK = Conversation(ask="")
SPEED = 50.0


@dataclass
class Together:
    """One value a request, in order, and one a thinking that ended."""

    at_s: list[float] = field(default_factory=list)
    thought: list[bool] = field(default_factory=list)
    bases: list[tuple[float, ...]] = field(default_factory=list)
    thresholds: list[tuple[float, ...]] = field(default_factory=list)
    spent: list[tuple[float, int]] = field(default_factory=list)

    def series(self, name: str) -> Series:
        """One of the fields as numbers."""
        return np.asarray(getattr(self, name), float)


class Gateways:
    """`controls` are the gateways' own; they may be replaced while it runs. `connected` says who can tell and hear."""

    def __init__(self, profile: Profile, count: int, interval_s: float = 0.05) -> None:
        self.controls = [Controls(profile) for _ in range(count)]
        self.connected = [True] * count
        self.interval_s = interval_s
        self.trace = Together()
        self._told: list[dict[tuple[str, ...], Word]] = [{} for _ in range(count)]
        self._heard: list[list[dict[tuple[str, ...], Word]]] = [[{} for _ in range(count)] for _ in range(count)]
        self._next_s = 0.0
        self._router = ThinkRouter(ConstantJudge(0.5))
        self._endings: list[tuple[float, int, int, Taken]] = []

    def exchange(self, now_s: float) -> None:
        """Each tells, and then hears what was told."""
        for i, controls in enumerate(self.controls):
            if self.connected[i]:
                self._told[i] = {name: peer.tell(now_s) for name, peer in controls.peers()}
        for i, controls in enumerate(self.controls):
            others = [j for j in range(len(self.controls)) if j != i and self.connected[i] and self.connected[j]]
            for name, peer in controls.peers():
                words = [(j, self._told[j][name]) for j in others if name in self._told[j]]
                peer.hear([(self._heard[i][j].get(name), word) for j, word in words], now_s)
                for j, word in words:
                    self._heard[i][j][name] = word

    def run(self, arrivals: Sequence[Arrival], places: Sequence[int]) -> Together:
        """The n-th request comes to the gateway `places[n]`."""
        for arrival, place in zip(arrivals, places, strict=True):
            now_s, controls, trace = arrival.at_s, self.controls[place], self.trace
            self._advance(now_s)
            force = controls.in_force(now_s)
            request = RouteRequest(controls.profile, _TALK, in_force=force)
            decision = self._router.conclude(request, Judgement(arrival.score, "1"))
            controls.decided(decision)
            thought = decision.mode is Mode.THINKING
            if thought:
                taken = controls.thinking_began(now_s)
                heappush(self._endings, (now_s + arrival.tokens / SPEED, arrival.tokens, place, taken))
            trace.at_s.append(now_s)
            trace.thought.append(thought)
            trace.bases.append(tuple(c.last.base for c in self.controls))
            trace.thresholds.append(tuple(c.in_force(now_s).threshold for c in self.controls))
        return self.trace

    def _advance(self, until_s: float) -> None:
        while self._next_s <= until_s:
            while self._endings and self._endings[0][0] <= self._next_s:
                at_s, tokens, place, taken = heappop(self._endings)
                self.controls[place].thinking_ended(taken, tokens, at_s)
                self.trace.spent.append((at_s, tokens))
            self.exchange(self._next_s)
            self._next_s += self.interval_s
