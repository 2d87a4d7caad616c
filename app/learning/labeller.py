"""Prompts through both modes, graded and kept. Knows the order and the bounds; each part knows its own work."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from app.learning.backends import Answer, Backends, Refused
from app.learning.graders import Grader
from app.learning.journal import Journal
from app.learning.pairwise import compare
from router.mode import Mode


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: prompts, of them done before it began, tokens, seconds; what is left of both is estimated from
    this run's own pace."""

    done: int
    before: int
    total: int
    refused: int
    tokens: int
    seconds: float

    @property
    def _left(self) -> float:
        return (self.total - self.done) / max(1, self.done - self.before)

    def __str__(self) -> str:
        text = f"{self.done}/{self.total} prompts, {self.tokens:,} tokens, {self.seconds:.0f} s"
        if self.before < self.done < self.total:
            text += f"; about {self._left * self.tokens:,.0f} tokens and {self._left * self.seconds:.0f} s to go"
        return text + (f"; {self.refused} refused" if self.refused else "")


class Labeller:
    """Labels rows, at most `concurrency` at a time, each with `samples` answers of both modes.

    `grader` grades each answer on its own; where it is None, the model `compared_by` compares the answers in pairs.
    `logprobs` are kept of so many first tokens of each instruct answer.
    """

    def __init__(
        self,
        backends: Backends,
        grader: Grader | None,
        *,
        compared_by: str = "",
        samples: int = 1,
        logprobs: int = 0,
        concurrency: int = 8,
        keep_answers: bool = False,
        tell: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._backends = backends
        self._grader = grader
        self._compared_by = compared_by
        self._samples = samples
        self._logprobs = {Mode.INSTRUCT: logprobs, Mode.THINKING: 0}
        self._concurrency = concurrency
        self._keep_answers = keep_answers
        self._tell = tell

    async def run(self, rows: Sequence[Mapping[str, Any]], journal: Journal) -> Progress:
        """Label what the journal does not hold. The first trouble ends the run; what was done until then is kept.

        Raises BrokenGrader, Unreachable or FileTrouble.
        """
        left = [row for row in rows if str(row["id"]) not in journal.done]
        before, started = len(rows) - len(left), monotonic()
        counts = {"done": before, "tokens": 0, "refused": 0}
        waiting = iter(left)

        def state() -> Progress:
            counted = counts["done"], before, len(rows), counts["refused"], counts["tokens"]
            return Progress(*counted, monotonic() - started)

        async def work() -> None:
            for row in waiting:
                result = await self._label(row)
                journal.append(result)
                counts["done"] += 1
                counts["refused"] += "error" in result
                counts["tokens"] += result.get("spent_tokens", 0)
                self._tell(state())

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._concurrency, len(left))):
                    group.create_task(work())
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return state()

    async def _label(self, row: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: row[name] for name in ("id", "group", "prompt", "messages", "answer") if name in row}
        messages = row.get("messages") or [{"role": "user", "content": row["prompt"]}]
        answers: dict[Mode, list[Answer]] = {Mode.INSTRUCT: [], Mode.THINKING: []}
        try:
            for number in range(self._samples):
                seed = number if self._samples > 1 else None
                for mode, found in answers.items():
                    found.append(await self._backends.ask(messages, mode, seed, self._logprobs[mode]))
            correct = await self._grades(row, messages, answers)
        except Refused as error:
            return {**kept, "error": str(error)}
        result: dict[str, Any] = dict(kept)
        for mode, found in answers.items():
            tokens = [answer.tokens for answer in found if answer.tokens is not None]
            result[f"{mode}_correct"] = _mean(correct[mode])
            result[f"{mode}_tokens"] = _mean(tokens) if len(tokens) == len(found) else None
            result[f"{mode}_seconds"] = _mean([answer.seconds for answer in found])
            result[f"{mode}_samples"] = [
                {"correct": right, "tokens": answer.tokens, "seconds": answer.seconds, "finish": answer.finish}
                | ({"logprobs": answer.logprobs} if self._logprobs[mode] else {})
                | ({"text": answer.text} if self._keep_answers else {})
                for right, answer in zip(correct[mode], found, strict=True)
            ]
        result["spent_tokens"] = sum(answer.tokens or 0 for found in answers.values() for answer in found)
        return result

    async def _grades(
        self, row: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], answers: Mapping[Mode, Sequence[Answer]]
    ) -> dict[Mode, list[float]]:
        grader = self._grader
        if grader is not None:  # a thread: a user's grader may take its time
            return {
                mode: [await asyncio.to_thread(grader, row, answer.text) for answer in found]
                for mode, found in answers.items()
            }
        points: dict[Mode, list[float]] = {mode: [] for mode in answers}
        for instruct, thinking in zip(answers[Mode.INSTRUCT], answers[Mode.THINKING], strict=True):
            pair = await compare(self._backends, self._compared_by, messages, instruct.text, thinking.text)
            for mode, point in zip((Mode.INSTRUCT, Mode.THINKING), pair, strict=True):
                points[mode].append(point)
        return points


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 6)
