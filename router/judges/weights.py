"""A linear judge's weights on disk: `weights.safetensors` beside `judge.json`. Knows the files; never judges.

The tensors are sparse: `buckets` (`uint32[k]`, indices of hash buckets that carry weight) and `values` (`float16[k]`),
with `shape` (`float32[SIZE]`); `concept_buckets` (`uint32[c]`) and `concept_numbers` (`uint8[c]`) say which buckets are
words of which concept. Everything a person may want to read is in the JSON.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from router.judges.base import JudgeError
from router.judges.shape import SIZE

FORMAT: Final = 2
"""Changes whenever features change their meaning; weights of another format are refused."""

TENSORS: Final = "weights.safetensors"
CARD: Final = "judge.json"
EMBEDDED: Final = Path(__file__).parent / "weights"
"""The weights that ship with the package."""


@dataclass(frozen=True, slots=True)
class LinearWeights:
    """What the linear judge needs: a dense table over hash buckets, the shape's weights, bias, and the calibration.

    `table` is `float32[2**bits]`; `concepts` names the buckets that `explain` has words for; the calibrated score is
    `interp(logit, calibration_logits, calibration_scores)`.
    """

    bits: int
    table: NDArray[np.float32]
    shape: NDArray[np.float32]
    bias: float
    calibration_logits: NDArray[np.float64]
    calibration_scores: NDArray[np.float64]
    name: str
    version: str
    thresholds: dict[str, float]
    card: dict[str, Any]
    concepts: Mapping[int, str] = field(default_factory=dict)


def load_weights(directory: Path | str = EMBEDDED) -> LinearWeights:
    """Read the weights in `directory`; raises `JudgeError` where they are missing, damaged, or of another format."""
    directory = Path(directory)
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
        table = np.zeros(1 << bits, np.float32)
        table[buckets] = values
        if not (np.isfinite(table).all() and np.isfinite(shape).all()):
            raise JudgeError(f"{directory}: weights that are not finite numbers")
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
            _concepts(tensors, card.get("concepts", [])),
        )
    except JudgeError:
        raise
    except Exception as error:  # safetensors has its own error types, and a damaged JSON can fail in many ways
        raise JudgeError(f"{directory}: cannot read the judge's weights ({type(error).__name__}: {error})") from error


def save_weights(
    directory: Path | str,
    table: NDArray[np.float32],
    shape: NDArray[np.float32],
    card: dict[str, Any],
    concepts: Mapping[str, Iterable[int]] | None = None,
) -> None:
    """Write a judge to `directory`; `card` has `name`, `version`, `bias`, `calibration`, `thresholds`.

    `concepts` maps a concept's name, in words for people, to its buckets.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    values = table.astype(np.float16)
    buckets = np.flatnonzero(values).astype(np.uint32)
    tensors: dict[str, NDArray[Any]] = {
        "buckets": buckets,
        "values": values[buckets],
        "shape": shape.astype(np.float32),
    }
    named = [(bucket, number) for number, own in enumerate((concepts or {}).values()) for bucket in sorted(own)]
    tensors["concept_buckets"] = np.array([bucket for bucket, _ in named], np.uint32)
    tensors["concept_numbers"] = np.array([number for _, number in named], np.uint8)
    card = {**card, "concepts": list(concepts or {})}
    save_file(tensors, directory / TENSORS)
    bits = len(table).bit_length() - 1
    body = json.dumps({"format": FORMAT, "bits": bits, **card}, indent=2, ensure_ascii=False)
    (directory / CARD).write_text(body + "\n", "utf-8")


def _concepts(tensors: Mapping[str, NDArray[Any]], names: list[str]) -> dict[int, str]:
    pairs = zip(tensors["concept_buckets"].tolist(), tensors["concept_numbers"].tolist(), strict=True)
    return {bucket: str(names[number]) for bucket, number in pairs}
