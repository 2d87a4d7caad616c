"""What routing saved against always thinking, estimated from hourly sums. Pure arithmetic; knows no store and no wire.

An answer without thinking is compared with answers to like requests that did think: those of the same profile whose
score lies in the same band (a tenth), or, where too few of that band did, in the nearest band where enough did. With N
instruct answers that are compared with a band of n thinking answers of mean m and variance s² (sums over bands):

    saved    = Σ N·m − what the instruct answers used
    variance = Σ s²·N·(1 + N/n)

The first term of the variance is the scatter of N answers that were never given, the second that of the mean
(prediction of a sum by a sample's mean; both samples independent). The interval is ± 1.96 standard deviations.
"""

from collections.abc import Iterable
from math import sqrt

import msgspec

from router.mode import Mode, Reason

BANDS = 10
"""Bands of the score, each a tenth wide; the last one includes 1."""
UNSCORED = -1
"""The band of decisions without a score: they are compared among themselves."""
ENOUGH = 30
"""Thinking answers that a band needs to be compared with: fewer tell neither mean nor scatter."""
Z = 1.959964
BY_GATEWAY = tuple(
    sorted(
        frozenset(Reason)
        - {
            Reason.CLIENT_MODEL,
            Reason.CLIENT_HEADER,
            Reason.CLIENT_FIELD,
            Reason.SOFT_SWITCH,
            Reason.PROFILE,
            Reason.FALLBACK,
        }
    )
)
"""Decisions that were the gateway's own. Who asks for a mode himself saves nothing by routing, and a fallback is a loss
of another kind."""


class HourSum(msgspec.Struct, frozen=True):
    """Sums over answers of one profile, mode and band in a range of hours: how many, their generated tokens and
    seconds, and the squares of both."""

    profile: str
    mode: Mode
    band: int
    answers: int
    tokens: float
    tokens_squared: float
    seconds: float
    seconds_squared: float


class Amount(msgspec.Struct, frozen=True):
    """An estimate with the ends of its 95 % interval; `used` is exact, and covers both modes. `share` is what was
    saved of what always thinking would have used; None where nothing was used."""

    used: float
    saved: float
    low: float
    high: float
    share: float | None


class Savings(msgspec.Struct, frozen=True):
    """`instruct` answers were compared, `extrapolated` of them with another band; `not_compared` had nothing to be
    compared with and are left out of both amounts, which are None where nothing at all was compared."""

    instruct: int
    thinking: int
    extrapolated: int
    not_compared: int
    tokens: Amount | None
    seconds: Amount | None


class _Band(msgspec.Struct):
    """Sums of one band, or of several."""

    answers: float = 0
    sum: float = 0.0
    squares: float = 0.0

    def add(self, answers: float, total: float, squares: float) -> None:
        self.answers += answers
        self.sum += total
        self.squares += squares

    @property
    def mean(self) -> float:
        return self.sum / self.answers

    @property
    def variance(self) -> float:
        """Of the sample, unbiased; never below 0, which rounding could make it."""
        return max(0.0, (self.squares - self.sum * self.sum / self.answers) / (self.answers - 1))


class _Estimate:
    """One quantity (tokens or seconds) of one profile, or of several."""

    def __init__(self) -> None:
        self.used = self.saved = self.variance = 0.0

    def compare(self, few: _Band, like: _Band) -> None:
        """Instruct answers with thinking ones; `like` is used for nothing else."""
        n = few.answers
        self.saved += n * like.mean - few.sum
        self.variance += like.variance * n * (1 + n / like.answers)

    def add(self, other: "_Estimate") -> None:
        self.used += other.used
        self.saved += other.saved
        self.variance += other.variance

    def amount(self) -> Amount:
        half = Z * sqrt(self.variance)
        always = self.used + self.saved
        share = self.saved / always if always > 0 else None
        return Amount(
            round(self.used, 3),
            round(self.saved, 3),
            round(self.saved - half, 3),
            round(self.saved + half, 3),
            None if share is None else round(share, 4),
        )


class _Profile:
    """Everything about one profile."""

    def __init__(self) -> None:
        self.sums: dict[tuple[Mode, int], tuple[_Band, _Band]] = {}
        self.tokens, self.seconds = _Estimate(), _Estimate()
        self.instruct = self.thinking = self.extrapolated = self.not_compared = 0

    def add(self, one: HourSum) -> None:
        tokens, seconds = self.sums.setdefault((one.mode, one.band), (_Band(), _Band()))
        tokens.add(one.answers, one.tokens, one.tokens_squared)
        seconds.add(one.answers, one.seconds, one.seconds_squared)

    def estimate(self) -> None:
        enough = [
            band
            for (mode, band), (tokens, _) in self.sums.items()
            if mode is Mode.THINKING and tokens.answers >= ENOUGH
        ]
        compared: dict[int, tuple[_Band, _Band]] = {}  # by the band that they are compared with: its mean errs once
        for (mode, band), (tokens, seconds) in sorted(self.sums.items()):
            answers = int(tokens.answers)
            if mode is Mode.THINKING:
                self.thinking += answers
            else:
                like = _nearest(band, enough)
                if like is None:
                    self.not_compared += answers
                    continue
                self.instruct += answers
                self.extrapolated += answers if like != band else 0
                few = compared.setdefault(like, (_Band(), _Band()))
                few[0].add(tokens.answers, tokens.sum, tokens.squares)
                few[1].add(seconds.answers, seconds.sum, seconds.squares)
            self.tokens.used += tokens.sum
            self.seconds.used += seconds.sum
        for like, (tokens, seconds) in compared.items():
            self.tokens.compare(tokens, self.sums[Mode.THINKING, like][0])
            self.seconds.compare(seconds, self.sums[Mode.THINKING, like][1])

    def join(self, other: "_Profile") -> None:
        self.instruct += other.instruct
        self.thinking += other.thinking
        self.extrapolated += other.extrapolated
        self.not_compared += other.not_compared
        self.tokens.add(other.tokens)
        self.seconds.add(other.seconds)

    def savings(self) -> Savings:
        some = self.instruct > 0
        return Savings(
            self.instruct,
            self.thinking,
            self.extrapolated,
            self.not_compared,
            self.tokens.amount() if some else None,
            self.seconds.amount() if some else None,
        )


def estimate(sums: Iterable[HourSum]) -> tuple[Savings, dict[str, Savings]]:
    """The savings of all profiles together, and of each by name."""
    profiles: dict[str, _Profile] = {}
    for one in sums:
        profiles.setdefault(one.profile, _Profile()).add(one)
    total = _Profile()
    for _, profile in sorted(profiles.items()):
        profile.estimate()
        total.join(profile)
    return total.savings(), {name: profile.savings() for name, profile in sorted(profiles.items())}


def _nearest(band: int, enough: list[int]) -> int | None:
    """The band to compare with; of two that are as near, the lower, which thinks less."""
    if band == UNSCORED:
        return UNSCORED if UNSCORED in enough else None
    return min(
        (other for other in enough if other != UNSCORED), key=lambda other: (abs(other - band), other), default=None
    )
