"""Is an answer right? One function a kind of grader. Knows answers and what was expected; asks no server.

A grader takes the prompt's row and an answer, and gives correctness in [0, 1].
"""

import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from app.learning.schema import SchemaTrouble, check_schema, fits

Row = Mapping[str, Any]
Grader = Callable[[Row, str], float]
KINDS: Final = ("exact", "number", "choice", "regex", "schema", "PATH:FUNCTION", "model")

_NUMBER: Final = re.compile(r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+−]?\.\d+")
_BOXED: Final = re.compile(r"\\boxed\{\s*(?:\\text\{)?\s*\(?([A-Z])\)?\s*\}?\s*\}")
_SAID: Final = re.compile(
    r"(?i:answer|option|choice|答案|选项?)\s*(?i:is|are|should be|为|是|：|:)*\s*\**\(?([A-Z])\)?(?![A-Za-z])"
)
_ALONE: Final = re.compile(r"(?<![A-Za-z])\(?([A-Z])\)?[.)]?(?![A-Za-z'])")


class BrokenGrader(Exception):
    """A grader that cannot grade a row; the message names the row, not its text."""


def grader_named(name: str) -> Grader:
    """The grader called `name`, or FUNCTION of the Python file PATH. Raises BrokenGrader."""
    if name in _GRADERS:
        return _GRADERS[name]
    path, colon, function = name.rpartition(":")
    if not colon:
        raise BrokenGrader(f"there is no grader `{name}`; known are {', '.join(KINDS)}")
    return _python(Path(path), function)


def exact(row: Row, answer: str) -> float:
    """The expected answer, or one of several, outer white space aside."""
    return float(answer.strip() in [str(one).strip() for one in _expected(row)])


def number(row: Row, answer: str) -> float:
    """The last number of the answer is the expected one, to a millionth of it; `1,000` is a thousand."""
    found = _NUMBER.findall(answer)
    if not found:
        return 0.0
    said = _value(found[-1])
    wanted = []
    for one in _expected(row):
        numbers = [one] if isinstance(one, int | float) else _NUMBER.findall(str(one))
        if not numbers:
            raise BrokenGrader(f"`answer` of {_name(row)} holds no number")
        wanted.append(_value(str(numbers[-1])))
    return float(any(abs(said - value) <= 1e-6 * max(1.0, abs(value)) for value in wanted))


def choice(row: Row, answer: str) -> float:
    """The letter that the answer settles on: boxed, said to be the answer, or the last letter that stands alone."""
    for pattern in (_BOXED, _SAID, _ALONE):
        found = pattern.findall(answer)
        if found:
            return float(found[-1] in [str(one).strip().strip("()").upper() for one in _expected(row)])
    return 0.0


def regex(row: Row, answer: str) -> float:
    """The row's `pattern`, or `answer` as one, is found in the answer."""
    pattern = row.get("pattern", row.get("answer"))
    try:
        return float(re.search(pattern, answer) is not None)  # anything may be in a row
    except (re.error, TypeError) as error:
        raise BrokenGrader(f"`pattern` of {_name(row)} cannot be used: {error}") from None


def schema(row: Row, answer: str) -> float:
    """The answer, a code fence around it aside, is JSON that fits the row's `schema`."""
    wanted = row.get("schema")
    try:
        check_schema(wanted)
    except SchemaTrouble as error:
        raise BrokenGrader(f"`schema` of {_name(row)}: {error}") from None
    text = re.sub(r"\A\s*```(?:json)?\s*\n(.*?)\n?```\s*\Z", r"\1", answer, flags=re.DOTALL)
    try:
        return float(fits(json.loads(text), wanted or {}))
    except (ValueError, RecursionError):
        return 0.0


_GRADERS: Final[Mapping[str, Grader]] = {
    "exact": exact,
    "number": number,
    "choice": choice,
    "regex": regex,
    "schema": schema,
}


def _python(path: Path, name: str) -> Grader:
    """The user's own function (row, answer) -> bool or number from 0 to 1, loaded from a file."""
    if not path.is_file():
        raise BrokenGrader(f"grader `{path}:{name}`: there is no such file")
    spec = importlib.util.spec_from_file_location("thinkgate_grader", path)
    try:
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        function = getattr(module, name)
    except Exception as error:  # whatever a user's file does
        raise BrokenGrader(f"grader `{path}:{name}` cannot be loaded ({type(error).__name__}: {error})") from error

    def grade(row: Row, answer: str) -> float:
        try:
            found = function(row, answer)
            value = float(found)
        except Exception as error:  # likewise
            why = f"{type(error).__name__}: {error}"
            raise BrokenGrader(f"grader `{path}:{name}` failed on {_name(row)} ({why})") from error
        if not 0.0 <= value <= 1.0:
            raise BrokenGrader(f"grader `{path}:{name}` gave {value} for {_name(row)}; it must give 0 to 1")
        return value

    return grade


def _expected(row: Row) -> list[Any]:
    answer = row.get("answer")
    if answer is None or answer == []:
        raise BrokenGrader(f"{_name(row)} has no `answer` to compare with")
    return list(answer) if isinstance(answer, list) else [answer]


def _name(row: Row) -> str:
    return f"row `{str(row.get('id', ''))[:80]}`"


def _value(text: str) -> float:
    return float(text.replace(",", "").replace("−", "-"))
