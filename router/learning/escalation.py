"""Which bound on a draft's log-probabilities is worth its wasted tokens. Knows outcomes, not streams.

A policy is a threshold, and an escalation below it (router/policies/escalation.py). What it would have done with
labelled prompts is known: both modes answered them, and the drafts' first tokens' log-probabilities were kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from router.learning.adapt import folds_of
from router.learning.outcomes import Outcomes
from router.policies.escalation import DraftWatch, Escalation

Vector = NDArray[np.float64]
TOKENS: Final = (2, 4, 8, 16, 24, 32, 64)
BANDS: Final = (0.1, 0.2, 0.35, 0.5, 1.0)
BOUNDS: Final = 16
THRESHOLDS: Final = 16
"""How many of both are tried, at quantiles of what the labels hold."""

PRICES: Final = (0.0, *(float(price) for price in np.geomspace(0.02, 100, 40)))
"""Of a thousand tokens: each is a place on the curve of quality against cost."""

LEAST_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class Drafts:
    """Labelled prompts as columns: scores, both modes' correctness and tokens, drafts' first log-probabilities."""

    scores: Vector
    instruct_correct: Vector
    thinking_correct: Vector
    instruct_tokens: Vector
    thinking_tokens: Vector
    logprobs: tuple[tuple[float, ...], ...]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Bound:
    """A profile's threshold and escalation; `tokens` 0 stands for none."""

    threshold: float
    band: float = 0.0
    tokens: int = 0
    bound: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """As a profile in the configuration says it."""
        found: dict[str, Any] = {"threshold": round(self.threshold, 4)}
        if self.tokens:
            found["escalation"] = {"band": round(self.band, 4), "tokens": self.tokens, "bound": round(self.bound, 4)}
        return found


@dataclass(frozen=True, slots=True)
class Effect:
    """What a policy does with each prompt: correctness, tokens (those of dropped drafts included), whether thinking
    answered, and how many tokens of a draft were dropped."""

    correct: Vector
    tokens: Vector
    thinks: Vector
    wasted: Vector

    def utility(self, price: float) -> Vector:
        """Correctness less `price` for each thousand tokens."""
        return self.correct - price / 1000 * self.tokens


def drafts_of(scores: Vector, outcomes: Outcomes, logprobs: Sequence[Sequence[float]]) -> Drafts:
    """The columns; raises ValueError for too few prompts, or where tokens or log-probabilities were not told."""
    if len(outcomes) < LEAST_ROWS:
        raise ValueError(f"{len(outcomes)} labels: at least {LEAST_ROWS} are needed to calibrate and to check with")
    told = sum(bool(each) for each in logprobs)
    if told < 0.9 * len(outcomes):
        raise ValueError(
            f"log-probabilities of {told} drafts among {len(outcomes)} labels: label with --logprobs, and a backend "
            "that tells them"
        )
    if np.isnan(outcomes.instruct_tokens).any() or np.isnan(outcomes.thinking_tokens).any():
        raise ValueError("`instruct_tokens` and `thinking_tokens` are needed everywhere")
    return Drafts(
        scores,
        outcomes.instruct_correct,
        outcomes.thinking_correct,
        outcomes.instruct_tokens,
        outcomes.thinking_tokens,
        tuple(tuple(each) for each in logprobs),
    )


def watched(logprobs: Sequence[float], tokens: int, bound: float) -> tuple[bool, int]:
    """(is the draft given?, tokens until that was known): the gateway's own watch of a stream, token by token."""
    watch = DraftWatch(Escalation(tokens=tokens, bound=bound))
    for logprob in logprobs:
        watch.add((logprob,))
        verdict = watch.verdict(False)
        if verdict is not None:
            return verdict, watch.tokens
    return watch.verdict(True) is True, watch.tokens


@dataclass(frozen=True, slots=True)
class Watched:
    """For one (tokens, bound): which drafts are given, and after how many tokens that is known."""

    given: NDArray[np.bool_]
    held: Vector


def effect(drafts: Drafts, policy: Bound, seen: Watched | None = None) -> Effect:
    """What the policy does; `seen` is what its watch says of every draft, where that is known already."""
    thinks = drafts.scores >= policy.threshold
    wasted = np.zeros(len(drafts))
    if policy.tokens:
        seen = watch_all(drafts, policy.tokens, policy.bound) if seen is None else seen
        dropped = ~thinks & (drafts.scores >= policy.threshold - policy.band) & ~seen.given
        wasted = np.where(dropped, seen.held, 0.0)
        thinks = thinks | dropped
    correct = np.where(thinks, drafts.thinking_correct, drafts.instruct_correct)
    tokens = np.where(thinks, drafts.thinking_tokens, drafts.instruct_tokens) + wasted
    return Effect(correct, tokens, thinks.astype(float), wasted)


def watch_all(drafts: Drafts, tokens: int, bound: float) -> Watched:
    """Every draft, watched."""
    found = [watched(each, tokens, bound) for each in drafts.logprobs]
    return Watched(np.array([given for given, _ in found]), np.array([held for _, held in found], float))


@dataclass(frozen=True, slots=True)
class Tried:
    """All policies of a grid and what each does with every prompt: `[policies, prompts]`."""

    policies: tuple[Bound, ...]
    correct: NDArray[np.float32]
    tokens: NDArray[np.float32]

    plain: NDArray[np.bool_]

    def means(self, rows: NDArray[np.bool_]) -> "Means":
        """Of some prompts."""
        kept = rows.astype(np.float32) / rows.sum()
        return Means(self.correct @ kept, self.tokens @ kept, self.plain)


@dataclass(frozen=True, slots=True)
class Means:
    """Each policy's mean correctness and tokens; `plain` are those without escalation."""

    correct: NDArray[np.float32]
    tokens: NDArray[np.float32]
    plain: NDArray[np.bool_]

    def best(self, price: float, watching: bool) -> int:
        """The number of the best policy, with or without escalations; of equals the first, which is the plainest."""
        mean = np.round(self.correct - price / 1000 * self.tokens, 6)
        return int(np.argmax(mean if watching else np.where(self.plain, mean, -np.inf)))


def grid(drafts: Drafts, threshold: float | None) -> Iterator[tuple[Bound, Watched | None]]:
    """Policies to try, the plain ones first: thresholds among the scores (or the one given), bounds among the drafts'
    means."""
    cuts = np.unique(np.quantile(drafts.scores, np.linspace(0, 1, THRESHOLDS + 1)))
    middles = np.concatenate(([0.0], (cuts[1:] + cuts[:-1]) / 2, [1.0]))
    thresholds = [threshold] if threshold is not None else [float(cut) for cut in middles[::-1]]
    for cut in thresholds:
        yield Bound(cut), None
    longest = max(len(each) for each in drafts.logprobs)
    for tokens in sorted({min(tokens, longest) for tokens in TOKENS}):
        means = [float(np.mean(each[:tokens])) for each in drafts.logprobs if each]
        bounds = np.unique(np.round(np.quantile(means, np.linspace(0.02, 0.98, BOUNDS)), 4))
        for bound in (float(bound) for bound in bounds if -20 <= bound < 0):
            seen = watch_all(drafts, tokens, bound)
            for cut, band in product(thresholds, BANDS):
                yield Bound(cut, band, tokens, bound), seen


def try_all(drafts: Drafts, threshold: float | None = None) -> Tried:
    """Every policy of the grid on every prompt."""
    policies, correct, tokens = [], [], []
    for policy, seen in grid(drafts, threshold):
        done = effect(drafts, policy, seen)
        policies.append(policy)
        correct.append(done.correct.astype(np.float32))
        tokens.append(done.tokens.astype(np.float32))
    plain = np.array([policy.tokens == 0 for policy in policies])
    return Tried(tuple(policies), np.array(correct), np.array(tokens), plain)


def calibrate(
    drafts: Drafts, price: float, threshold: float | None = None, seed: int = 0, folds: int = 5
) -> dict[str, Any]:
    """The best policy at a price, checked on prompts that did not choose it, beside the best without escalation; the
    curves of both; what each bound buys. `accepted`: escalation is better beyond one-sided chance of a twentieth."""
    tried, fold = try_all(drafts, threshold), folds_of(len(drafts), seed, folds)
    parts = [(fold == number, tried.means(fold != number)) for number in range(folds)]
    held = {watching: _held_out(tried, parts, price, watching) for watching in (False, True)}
    whole = tried.means(np.ones(len(drafts), bool))
    each = held[True].utility(price) - held[False].utility(price)
    error = float(each.std(ddof=1) / np.sqrt(len(each)))
    best = tried.policies[whole.best(price, True)]
    curves = {
        name: [_means(_held_out(tried, parts, each, watching)) for each in PRICES]
        for name, watching in (("judge alone", False), ("with escalation", True))
    }
    ends = {
        "always instruct": _means(effect(drafts, Bound(1.01))),
        "always thinking": _means(effect(drafts, Bound(0.0))),
    }
    budgets = sorted(end["tokens"] for end in ends.values())
    return {
        "labels": len(drafts),
        "price": price,
        "profile": best.as_dict(),
        "without": tried.policies[whole.best(price, False)].as_dict(),
        "check": {
            "difference": float(each.mean()),
            "standard_error": error,
            "accepted": bool(best.tokens and each.mean() > 1.645 * error),
        },
        "held_out": {"judge alone": _means(held[False]), "with escalation": _means(held[True])},
        "bounds": _bounds(drafts, best),
        "curves": curves,
        "areas": {name: area([*curve, ends["always instruct"]], *budgets) for name, curve in curves.items()},
        "ends": ends,
    }


def area(curve: Sequence[Mapping[str, float]], low: float, high: float) -> float:
    """Mean of the best correctness that a curve reaches for at most so many tokens, over budgets from `low` to `high`
    (always instruct's and always thinking's tokens); the curve begins with always instruct."""
    points = sorted((point["tokens"], point["correct"]) for point in curve)
    budgets = np.linspace(low, high, 101)[1:]
    reached = [max(right for spent, right in points if spent <= budget + 1e-9) for budget in budgets]
    return float(np.mean(reached))


def _held_out(tried: Tried, parts: Sequence[tuple[NDArray[np.bool_], Means]], price: float, watching: bool) -> Effect:
    """Each prompt under the policy that the others chose."""
    correct, tokens = np.empty(tried.correct.shape[1]), np.empty(tried.correct.shape[1])
    for out, others in parts:
        best = others.best(price, watching)
        correct[out], tokens[out] = tried.correct[best][out], tried.tokens[best][out]
    nothing = np.full(len(correct), np.nan)
    return Effect(correct, tokens, nothing, nothing)


def _bounds(drafts: Drafts, best: Bound) -> list[dict[str, float]]:
    """What each bound buys beside the chosen one, all else equal: right answers and wasted tokens."""
    tokens, band = best.tokens or max(TOKENS), best.band or 1.0
    plain = effect(drafts, Bound(best.threshold))
    found = []
    means = [float(np.mean(each[:tokens])) for each in drafts.logprobs if each]
    for bound in np.unique(np.round(np.quantile(means, np.linspace(0.05, 0.95, 10)), 4)):
        if not -20 <= bound < 0:
            continue
        done = effect(drafts, Bound(best.threshold, band, tokens, float(bound)))
        dropped = done.wasted > 0
        found.append(
            {
                "bound": float(bound),
                "dropped": float(dropped.mean()),
                "correct": float(done.correct.mean()),
                "bought": float(done.correct.mean() - plain.correct.mean()),
                "tokens": float(done.tokens.mean()),
                "wasted": float(done.wasted.mean()),
            }
        )
    return found


def _means(done: Effect) -> dict[str, float]:
    return {"correct": float(done.correct.mean()), "tokens": float(done.tokens.mean())}
