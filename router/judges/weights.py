"""A linear judge's weights on disk: `weights.safetensors` beside `judge.json`. Knows the files; never judges.

The tensors are sparse: `buckets` (`uint32[k]`, indices of hash buckets that carry weight) and `values` (`float16[k]`),
with `shape` (`float32[SIZE]`); `concept_buckets` (`uint32[c]`), `concept_numbers` (`uint8[c]`) and `concept_shares`
(`float32[c]`) say which buckets are how much of a word of which concept; `orders` (`float32[4 * concepts + 1]`) is what
concepts at either end push and turn (see orders.py). Everything a person may want to read is in the JSON.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from router.judges.base import JudgeError
from router.judges.orders import MAX_CONCEPTS, Meanings, OrderWeights
from router.judges.shape import SIZE

FORMAT: Final = 3
"""Changes whenever features change their meaning; weights of another format are refused."""

TENSORS: Final = "weights.safetensors"
CARD: Final = "judge.json"
EMBEDDED: Final = Path(__file__).parent / "weights"
"""The weights that ship with the package."""


@dataclass(frozen=True, slots=True)
class LinearWeights:
    """What the linear judge needs: a dense table over hash buckets, the shape's weights, bias, and the calibration.

    `table` is `float16[2**bits]` as loaded, `float32` as trained; `meanings` says which buckets are words of which
    concepts, `concepts` their names by bucket, `orders` what those do at either end of a text; the calibrated score is
    `interp(logit, calibration_logits, calibration_scores)`.
    """

    bits: int
    table: NDArray[np.float16 | np.float32]
    shape: NDArray[np.float32]
    bias: float
    calibration_logits: NDArray[np.float64]
    calibration_scores: NDArray[np.float64]
    name: str
    version: str
    thresholds: dict[str, float]
    card: dict[str, Any]
    meanings: Meanings
    orders: OrderWeights
    concepts: Mapping[int, str] = field(default_factory=dict)


def load_weights(directory: Path | str = EMBEDDED) -> LinearWeights:
    """Read the weights in `directory`; raises `JudgeError` where they are missing, damaged, or of another format."""
    directory = Path(directory).resolve()  # where a link is being turned to another judge, both files are of one
    try:
        card = json.loads((directory / CARD).read_text("utf-8"))
        tensors = load_file(directory / TENSORS)
        if card["format"] != FORMAT:
            raise JudgeError(f"{directory}: weights of format {card['format']}, this version reads format {FORMAT}")
        bits = int(card["bits"])
        buckets, values, shape = tensors["buckets"], tensors["values"], tensors["shape"].astype(np.float32)
        calibration = card["calibration"]
        logits, scores = np.array(calibration["logits"], np.float64), np.array(calibration["scores"], np.float64)
        if not 8 <= bits <= 24 or shape.shape != (SIZE,) or buckets.shape != values.shape:
            raise JudgeError(f"{directory}: the tensors do not fit this version's features")
        if len(logits) != len(scores) or len(logits) < 2 or (np.diff(logits) <= 0).any() or (np.diff(scores) < 0).any():
            raise JudgeError(f"{directory}: the calibration does not rise with the score")
        table = np.zeros(1 << bits, np.float16)
        table[buckets] = values
        if not (np.isfinite(values).all() and np.isfinite(shape).all()):
            raise JudgeError(f"{directory}: weights that are not finite numbers")
        names = [str(name) for name in card.get("concepts", [])]
        meanings = _meanings(tensors, len(names))
        orders = _orders(tensors["orders"].astype(np.float64), len(names))
        if orders is None:
            raise JudgeError(f"{directory}: the orders do not fit the concepts")
        return LinearWeights(
            bits,
            table,
            shape,
            float(card["bias"]),
            logits,
            scores,
            str(card["name"]),
            str(card["version"]),
            {str(ratio): float(value) for ratio, value in card["thresholds"].items()},
            card,
            meanings,
            orders,
            {bucket: names[found[-1][0]] for bucket, found in meanings.items()},
        )
    except JudgeError:
        raise
    except Exception as error:  # safetensors has its own error types, and a damaged JSON can fail in many ways
        raise JudgeError(f"{directory}: cannot read the judge's weights ({type(error).__name__}: {error})") from error


def save_weights(
    directory: Path | str,
    table: NDArray[np.float16 | np.float32],
    shape: NDArray[np.float32],
    orders: OrderWeights,
    card: dict[str, Any],
    concepts: Mapping[str, Mapping[int, float]],
) -> None:
    """Write a judge to `directory`; `card` has `name`, `version`, `bias`, `calibration`, `thresholds`.

    `concepts` maps a concept's name, in words for people, to its buckets and the share of a term each stands for.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    values = table.astype(np.float16, copy=False)
    buckets = np.flatnonzero(values).astype(np.uint32)
    tensors: dict[str, NDArray[Any]] = {
        "buckets": buckets,
        "values": values[buckets],
        "shape": shape.astype(np.float32),
    }
    named = [(bucket, number, own[bucket]) for number, own in enumerate(concepts.values()) for bucket in sorted(own)]
    tensors["concept_buckets"] = np.array([bucket for bucket, _, _ in named], np.uint32)
    tensors["concept_numbers"] = np.array([number for _, number, _ in named], np.uint8)
    tensors["concept_shares"] = np.array([share for _, _, share in named], np.float32)
    tensors["orders"] = np.concatenate((orders.pushing, orders.turning, [orders.bias])).astype(np.float32)
    card = {**card, "concepts": list(concepts)}
    save_file(tensors, directory / TENSORS)
    bits = len(table).bit_length() - 1
    body = json.dumps({"format": FORMAT, "bits": bits, **card}, indent=2, ensure_ascii=False)
    (directory / CARD).write_text(body + "\n", "utf-8")


def _meanings(tensors: Mapping[str, NDArray[Any]], concepts: int) -> dict[int, list[tuple[int, float]]]:
    found: dict[int, list[tuple[int, float]]] = {}
    parts = (tensors[f"concept_{name}"].tolist() for name in ("buckets", "numbers", "shares"))
    for bucket, number, share in zip(*parts, strict=True):
        if not 0 <= number < concepts:
            raise ValueError(f"a bucket of concept {number}, where there are {concepts}")
        found.setdefault(bucket, []).append((number, share))
    return found


def _orders(numbers: NDArray[np.float64], concepts: int) -> OrderWeights | None:
    if concepts > MAX_CONCEPTS or numbers.shape != (4 * concepts + 1,) or not np.isfinite(numbers).all():
        return None
    return OrderWeights(numbers[: 2 * concepts], numbers[2 * concepts : -1], float(numbers[-1]))
