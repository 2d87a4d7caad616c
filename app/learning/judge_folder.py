"""A judge's directory with its evidence: weights, card, `report.json`, plots. Knows the files; adapts nothing."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from app.learning.files import FileTrouble, sha256_of, whole_directory
from router.judges.weights import CARD, TENSORS

REPORT: Final = "report.json"
KINDS: Final = ("adaptation", "policy")
REPORT_FORMAT: Final = 1


class NoEvidence(Exception):
    """A judge that its report does not speak for; the message says why."""


def write_judge(place: Path, report: Mapping[str, Any], fill: Callable[[Path], None]) -> None:
    """Make the directory: `fill` writes weights, card and plots into it; the report gets the digests of both files.

    Raises FileTrouble; then nothing is there.
    """
    with whole_directory(place) as partial:
        fill(partial)
        digests = {name: sha256_of(partial / name) for name in (TENSORS, CARD)}
        body = json.dumps({**report, "files": digests}, indent=2, ensure_ascii=False)
        (partial / REPORT).write_text(body + "\n", "utf-8")


def digest_of(directory: Path) -> str:
    """A digest of the judge's two files. Raises FileTrouble where one is not there."""
    try:
        return sha256_of(directory / TENSORS)[:6] + sha256_of(directory / CARD)[:6]
    except OSError as error:
        raise FileTrouble(f"{error.filename}: cannot be read") from error


def read_evidence(directory: Path) -> dict[str, Any]:
    """The report of a judge that was shown to be better than its prior on held-out labels, its files unchanged since.

    Raises NoEvidence.
    """
    path = directory / REPORT
    try:
        report = json.loads(path.read_text("utf-8"))
    except OSError:
        raise NoEvidence(f"{path} cannot be read: `thinkgate judge adapt` and `judge learn` write it") from None
    except ValueError:
        raise NoEvidence(f"{path} is not JSON") from None
    if not isinstance(report, dict) or report.get("format") != REPORT_FORMAT or report.get("kind") not in KINDS:
        raise NoEvidence(f"{path} is not a report of this version")
    for name in (TENSORS, CARD):
        try:
            same = sha256_of(directory / name) == report.get("files", {}).get(name)
        except OSError:
            raise NoEvidence(f"{directory / name} cannot be read") from None
        if not same:
            raise NoEvidence(f"{directory / name} is not the file that the report speaks of (its digest differs)")
    verdict = report.get("check")
    if not isinstance(verdict, dict) or verdict.get("accepted") is not True or report.get("kept_prior") is not False:
        raise NoEvidence("held-out labels did not show it to be better than its prior: there is nothing to promote")
    return report
