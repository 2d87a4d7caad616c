"""What both modes did with a prompt, and what that is worth to the user. Knows rows and arithmetic; knows no judge."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from router.conversation import Conversation
from router.judges.batch import RowError, conversation_of

Vector = NDArray[np.float64]
CostUnit = Literal["tokens", "seconds"]

_NUMBERS: Final = (
    "instruct_correct",
    "thinking_correct",
    "instruct_tokens",
    "thinking_tokens",
    "instruct_seconds",
    "thinking_seconds",
)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Labelled prompts as columns, one entry a prompt: correctness in [0, 1], answer tokens (thinking included) and
    seconds, both NaN where nobody told. `groups` name what a prompt is a case of (a task, a source), empty if unknown.
    """

    conversations: tuple[Conversation, ...]
    groups: tuple[str, ...]
    instruct_correct: Vector
    thinking_correct: Vector
    instruct_tokens: Vector
    thinking_tokens: Vector
    instruct_seconds: Vector
    thinking_seconds: Vector

    def __len__(self) -> int:
        return len(self.conversations)

    def rows(self, index: NDArray[np.int64]) -> "Outcomes":
        """The outcomes of some rows, in the order of `index`."""
        return Outcomes(
            tuple(self.conversations[i] for i in index.tolist()),
            tuple(self.groups[i] for i in index.tolist()),
            *(getattr(self, name)[index] for name in _NUMBERS),
        )


@dataclass(frozen=True, slots=True)
class Utility:
    """What the user wants: correctness minus `price` for each thousand tokens, or for each second, of the answer.

    A price of 0.05 a thousand tokens means: a thinking run of 2,000 tokens has to lift P(correct) by a tenth.
    """

    price: float = 0.0
    unit: CostUnit = "tokens"

    def __post_init__(self) -> None:
        if not self.price >= 0 or self.price == float("inf"):
            raise ValueError(f"a price is a number from 0 on, not {self.price}")

    def of_modes(self, outcomes: Outcomes) -> tuple[Vector, Vector]:
        """(instruct's, thinking's) utility of each prompt; raises ValueError where a price has no costs to count."""
        if self.price == 0:
            return outcomes.instruct_correct, outcomes.thinking_correct
        instruct, thinking = getattr(outcomes, f"instruct_{self.unit}"), getattr(outcomes, f"thinking_{self.unit}")
        missing = int(np.isnan(instruct).sum() + np.isnan(thinking).sum())
        if missing:
            raise ValueError(
                f"a price of {self.unit} needs `instruct_{self.unit}` and `thinking_{self.unit}` everywhere"
            )
        each = self.price / (1000.0 if self.unit == "tokens" else 1.0)
        return outcomes.instruct_correct - each * instruct, outcomes.thinking_correct - each * thinking

    def gains(self, outcomes: Outcomes) -> Vector:
        """Thinking's utility less instruct's, of each prompt."""
        instruct, thinking = self.of_modes(outcomes)
        return thinking - instruct


def read_outcomes(rows: Iterable[Mapping[str, Any]]) -> Outcomes:
    """Rows with a `prompt` or `messages`, `instruct_correct` and `thinking_correct`, as `thinkgate label` writes them;
    rows without both are left out. Raises RowError with the row's number."""
    conversations: list[Conversation] = []
    groups: list[str] = []
    numbers: list[list[float]] = []
    for number, row in enumerate(rows, 1):
        if row.get("instruct_correct") is None or row.get("thinking_correct") is None:
            continue
        try:
            conversations.append(conversation_of(row))
            numbers.append([_number(row, name) for name in _NUMBERS])
        except RowError as error:
            raise RowError(f"row {number}: {error}") from None
        groups.append(str(row.get("group") or ""))
    table = np.array(numbers, np.float64).reshape(-1, len(_NUMBERS))
    return Outcomes(tuple(conversations), tuple(groups), *table.T)


def _number(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    if value is None:
        return float("nan")
    if isinstance(value, bool | int | float):
        number = float(value)
        if number >= 0 and (number <= 1 or not name.endswith("_correct")) and number != float("inf"):
            return number
    raise RowError(f"`{name}` must be a number{' from 0 to 1' if name.endswith('_correct') else ', not negative'}")


def think_share(scores: Sequence[float] | Vector) -> Vector:
    """Of each row, the share of all think ratios at which it thinks: near 1 for the highest score, ties shared."""
    from scipy.stats import rankdata

    values = np.asarray(scores, np.float64)
    return (np.asarray(rankdata(values), np.float64) - 0.5) / max(1, len(values))


def average_gain(scores: Sequence[float] | Vector, gains: Vector) -> float:
    """Mean utility above never thinking, averaged over all think ratios. With correctness as the utility it is APGR
    times the gap between the modes, but it is defined too where there is no gap."""
    return float(np.mean(gains * think_share(scores)))
