"""All controllers of one profile behind one face. Knows which policies there are; each one's law is in its module.

They do not fight: the think ratio counts what would have thought, so that it does not win back what load or budget
take away.
"""

from collections.abc import Iterator

from router.decision import Decision
from router.mode import Mode, Reason
from router.policies.in_force import InForce
from router.policies.load_shedding import LoadShedder
from router.policies.peers import Peer
from router.policies.think_ratio import RatioController
from router.policies.token_budget import BudgetPacer, margin_of
from router.profile import Profile

_SAVED = frozenset((Reason.LOAD, Reason.BUDGET))
_MINUTE_S, _HOUR_S = 60.0, 3600.0
Taken = tuple[float, ...]
"""What a thinking has taken from each budget until it is known what it uses."""


class Controls:
    """What moves one profile's threshold. All times are monotonic seconds."""

    __slots__ = ("_pacers", "budget_margin", "profile", "ratio", "shedder")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        ratio, shedding, budget = profile.think_ratio, profile.load_shedding, profile.token_budget
        self.ratio = None if ratio is None else RatioController(ratio, profile.threshold)
        self.shedder = None if shedding is None else LoadShedder(shedding)
        self._pacers: dict[float, BudgetPacer] = {}
        if budget is not None:
            for limit, period_s in ((budget.per_minute, _MINUTE_S), (budget.per_hour, _HOUR_S)):
                if limit is not None:
                    self._pacers[period_s] = BudgetPacer(limit, period_s, budget.burst)
        self.budget_margin = 0.0
        """Of the profile's own budget, as it was last needed."""

    def succeed(self, old: "Controls") -> None:
        """Take over from the controls of the same profile after a reload: the threshold stays where it has been found,
        within the new bounds, unless the profile starts from another one now; so do the load's margin, and what is
        left of the budgets."""
        if self.ratio is not None and old.ratio is not None and self.profile.threshold == old.profile.threshold:
            self.ratio.succeed(old.ratio)
        if self.shedder is not None and old.shedder is not None and self.shedder.policy == old.shedder.policy:
            self.shedder = old.shedder
        for period_s, pacer in self._pacers.items():
            if period_s in old._pacers:
                pacer.succeed(old._pacers[period_s])

    def peers(self) -> Iterator[tuple[tuple[str, ...], Peer]]:
        """Those that act together with their like in other gateways, each by a name that says all of its policy. Not
        the shedder: what it looks at, a pool's pressure, is of all gateways already."""
        if self.ratio is not None:
            yield ("ratio", self.profile.name, repr(self.ratio.policy)), self.ratio
        for period_s, pacer in self._pacers.items():
            yield ("budget", self.profile.name, repr((period_s, self.profile.token_budget))), pacer

    @property
    def last(self) -> InForce:
        """The threshold by what was observed last."""
        base = self.profile.threshold if self.ratio is None else self.ratio.base
        return InForce(base, 0.0 if self.shedder is None else self.shedder.margin, self.budget_margin)

    def in_force(self, now_s: float, pressure: float = 0.0, room: float = 1.0) -> InForce:
        """The threshold in force. `pressure` is the thinking pool's (1: full), `room` the share of the caller's own
        thinking tokens that is left."""
        if self.shedder is not None:
            self.shedder.observe(pressure, now_s)
        if self._pacers:
            self.budget_margin = margin_of(min(pacer.room(now_s) for pacer in self._pacers.values()))
        force = self.last
        if room < 1.0 and (own := margin_of(room)) > force.budget:
            return InForce(force.base, force.load, own)
        return force

    def decided(self, decision: Decision) -> None:
        """A request has been decided; only those that a judge has scored count."""
        if self.ratio is not None and decision.score is not None:
            self.ratio.judged(decision.mode is Mode.THINKING or decision.reason in _SAVED)

    def thinking_began(self, now_s: float) -> Taken:
        """A request begins to think; what it takes is given back to `thinking_ended`."""
        return tuple([pacer.take(now_s) for pacer in self._pacers.values()])

    def thinking_ended(self, taken: Taken, tokens: int, now_s: float) -> None:
        """A request has ended, whatever its outcome, and has thought so many tokens. `taken` is empty where it was not
        known beforehand that it would think."""
        for i, pacer in enumerate(self._pacers.values()):
            pacer.settle(taken[i] if i < len(taken) else 0.0, tokens, now_s)
