"""The default judge: hashed n-grams, the ask's shape, the orders at its ends; calibrated. Knows no training."""

from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.conversation import ASK_HEAD_CHARS, ASK_TAIL_CHARS, Conversation, head_and_tail
from router.judges.base import Feature, Judgement
from router.judges.characters import CLASS_OF
from router.judges.ngrams import EDGE_TOKENS, Grams, grams_of, token_of_each
from router.judges.orders import factor_of, slots_of, standing
from router.judges.shape import NAMES, circumstances_of, counts_of, shape_of
from router.judges.weights import EMBEDDED, LinearWeights, load_weights

scan: Callable[..., tuple[float, int, float, float]] | None
try:  # the same loop in C, where it could be compiled
    from router.judges._scan import scan
except ImportError:
    scan = None

_CLASS_BYTES: Final = CLASS_OF.tobytes()
_EXPLAINED: Final = 6  # features named at most
_DISCOUNT: Final = "the text counts differently under the order it comes with"
_LEAST_PUSH: Final = 0.05  # log-odds below which a feature is not worth a person's time


def text_of(conversation: Conversation) -> str:
    """What the linear judge reads, lower case and at most about `ASK_HEAD_CHARS + ASK_TAIL_CHARS` characters."""
    return head_and_tail(conversation.work, ASK_HEAD_CHARS, ASK_TAIL_CHARS).lower()


def scale_of(tokens: int) -> float:
    """What the summed n-gram weights are multiplied by: between a sum (long texts shout) and a mean (they whisper)."""
    return float(2.774 * (min(tokens, 3 * EDGE_TOKENS) + 4.0) ** -0.8)


class LinearJudge:
    """Scores in tens of microseconds with numpy alone. Immutable after construction, hence thread-safe."""

    def __init__(self, weights: LinearWeights) -> None:
        self.name = weights.name
        self.version = weights.version
        self.weights = weights
        self._table = weights.table.astype(np.float16, copy=False)
        self._shift_bits = 64 - weights.bits
        self._shift = np.uint64(self._shift_bits)
        self._bias = float(weights.bias)
        self._shape: list[float] = weights.shape.tolist()
        self._shape_bytes = weights.shape.astype(np.float64).tobytes()
        self._orders_bytes = weights.orders.packed()
        self._slots = slots_of(weights.meanings)
        self._calibration: tuple[list[float], list[float]] = (
            list(map(float, weights.calibration_logits)),
            list(map(float, weights.calibration_scores)),
        )

    @classmethod
    def load(cls, path: Path | str = EMBEDDED) -> "LinearJudge":
        """The judge whose weights are in the directory `path`; raises `JudgeError` if they cannot be read."""
        return cls(load_weights(path))

    def score(self, conversation: Conversation) -> Judgement:
        """P(thinking helps); bounded in time whatever the input's length."""
        return Judgement(self.calibrated(self.logit(conversation)), self.version)

    def logit(self, conversation: Conversation) -> float:
        """The uncalibrated log-odds."""
        text = text_of(conversation)
        if scan is None:
            return self.logit_by_numpy(conversation, text)
        slots = self._slots
        summed, tokens, pushed, turned = scan(
            text,
            _CLASS_BYTES,
            self._table,
            self._shift_bits,
            self._shape_bytes,
            circumstances_of(conversation),
            slots.keys,
            slots.concepts,
            slots.shares,
            self._orders_bytes,
        )
        return self._bias + summed * scale_of(tokens) * factor_of(turned) + pushed

    def logit_by_numpy(self, conversation: Conversation, text: str) -> float:
        """The same where no C compiler was: the definition that the C code is held to."""
        grams = grams_of(text)
        values = self._table.take((grams.hashes >> self._shift).view(np.int64)).astype(np.float32)
        summed = float(values.sum()) if grams.weights is None else float(values @ grams.weights)
        shape = shape_of(conversation, text, counts_of(grams.codes))
        pushed = sum([weight * value for weight, value in zip(self._shape, shape, strict=True)])
        stands = self._standing(grams)
        pushed += float(self.weights.orders.pushing @ stands)
        return self._bias + summed * scale_of(grams.tokens) * self._factor(stands) + pushed

    def _standing(self, grams: Grams) -> NDArray[np.float64]:
        orders = self.weights.orders
        return standing(grams, self.weights.meanings, self._shift, len(orders.pushing) // 2)

    def _factor(self, stands: NDArray[np.float64]) -> float:
        orders = self.weights.orders
        return factor_of(float(orders.turning @ stands) + orders.bias)

    def calibrated(self, logit: float) -> float:
        """The probability that a logit stands for."""
        logits, scores = self._calibration
        right = bisect_right(logits, logit)
        if right == 0:
            return scores[0]
        if right == len(logits):
            return scores[-1]
        left = right - 1
        share = (logit - logits[left]) / (logits[right] - logits[left])
        return scores[left] + share * (scores[right] - scores[left])

    def explain(self, conversation: Conversation) -> Judgement:
        """The same score, with the concepts, words and properties that moved it most.

        The names quote a few words of the ask, so they are content: keep them out of logs as you would the ask.
        """
        text = text_of(conversation)
        grams = grams_of(text)
        stands = self._standing(grams)
        pushes = self._pushes_of_words(text, grams)
        unordered = factor_of(self.weights.orders.bias)
        summed = sum(pushes.values())
        for name in pushes:
            pushes[name] *= unordered
        pushes |= self._pushes_of_orders(stands)
        pushes[_DISCOUNT] = summed * (self._factor(stands) - unordered)
        shape = shape_of(conversation, text, counts_of(grams.codes))
        for name, weight, value in zip(NAMES, self._shape, shape, strict=True):
            if weight * value:
                pushes[name] = weight * value
        ranked = sorted(pushes.items(), key=lambda item: -abs(item[1]))[:_EXPLAINED]
        features = tuple(Feature(name, round(push, 4)) for name, push in ranked if abs(push) >= _LEAST_PUSH)
        return Judgement(self.score(conversation).score, self.version, features)

    def _pushes_of_orders(self, stands: NDArray[np.float64]) -> dict[str, float]:
        """Log-odds by concept at the start or the end of the text."""
        pushes: dict[str, float] = {}
        names = self.weights.card.get("concepts", [])
        for index, push in enumerate((self.weights.orders.pushing * stands).tolist()):
            half = len(stands) // 2
            if push:
                pushes[f"near the {'start' if index < half else 'end'} of the ask: {names[index % half]}"] = push
        return pushes

    def _pushes_of_words(self, text: str, grams: Grams) -> dict[str, float]:
        """Log-odds by concept, with the words that stand for it, and by wording where there is no concept."""
        buckets = (grams.hashes >> self._shift).view(np.int64)
        values = self._table.take(buckets).astype(np.float32) * scale_of(grams.tokens)
        if grams.weights is not None:
            values = values * grams.weights
        by_token = np.bincount(token_of_each(grams), values, minlength=max(1, grams.tokens))
        concepts = self.weights.concepts
        owner = token_of_each(grams).tolist()
        concept_at = {owner[k]: concepts[b] for k, b in enumerate(buckets.tolist()) if b in concepts}
        pushes: dict[str, float] = {}
        words: dict[str, list[str]] = {}
        for index in range(grams.tokens):
            word = text[int(grams.starts[index]) : int(grams.ends[index])].strip()
            concept = concept_at.get(index, f'the wording "{word[:24]}"')
            pushes[concept] = pushes.get(concept, 0.0) + float(by_token[index])
            if index in concept_at and word and word not in words.setdefault(concept, []):
                words[concept].append(word[:24])
        return {
            f'{name} ("{", ".join(words[name][:3])}")' if words.get(name) else name: push
            for name, push in pushes.items()
        }
