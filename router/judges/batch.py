"""Score JSON lines one by one. Knows the row formats; opens no file and keeps no row."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from router.conversation import Conversation, read_conversation
from router.judges.base import Judge
from router.mode import Mode

MAX_LINE_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A good row: its `id` as it came (None if it had none), score in [0, 1] and mode."""

    line: int
    id: Any
    score: float
    mode: Mode

    def to_json(self) -> str:
        """`{"id": …, "score": …, "mode": …}` on one line."""
        return json.dumps({"id": self.id, "score": round(self.score, 6), "mode": str(self.mode)}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be scored: its line number, from 1, and why, without quoting it."""

    line: int
    problem: str


class RowError(ValueError):
    """A row that is not what it should be; the message says why and quotes nothing of it."""


def score_rows(judge: Judge, lines: Iterable[bytes], threshold: float = 0.5) -> Iterator[ScoredRow | BadRow]:
    """One result for each non-empty line, in order; memory does not grow with the number of lines."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = read_row(line)
            score = judge.score(conversation_of(row)).score
        except RowError as error:
            yield BadRow(number, str(error))
            continue
        yield ScoredRow(number, row.get("id"), score, Mode.THINKING if score >= threshold else Mode.INSTRUCT)


def read_row(line: bytes) -> Mapping[str, Any]:
    """The JSON object on a line; raises `RowError`."""
    if len(line) > MAX_LINE_BYTES:
        raise RowError(f"longer than {MAX_LINE_BYTES // 2**20} MiB")
    try:
        row = json.loads(line)
    except UnicodeDecodeError:
        raise RowError("not valid UTF-8") from None
    except (ValueError, RecursionError) as error:
        where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise RowError(f"not JSON{where}") from None
    if not isinstance(row, dict):
        raise RowError("not a JSON object")
    return row


def conversation_of(row: Mapping[str, Any]) -> Conversation:
    """The conversation in a row with `prompt` or `messages`; raises `RowError`."""
    prompt, messages = row.get("prompt"), row.get("messages")
    if messages is not None:
        if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
            raise RowError("`messages` must be a list of objects, not empty")
    elif not isinstance(prompt, str):
        raise RowError("needs `prompt` (a string) or `messages` (a list)")
    else:
        messages = [{"role": "user", "content": prompt}]
    tools = row.get("tools")
    return read_conversation(messages, tools=len(tools) if isinstance(tools, list) else 0)
