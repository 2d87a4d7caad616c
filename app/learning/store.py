"""The judge in force and those before it, as directories behind one link. Knows files; judges nothing.

    STORE/current -> versions/0003-…       what `judge.path` names
    STORE/versions/0003-…/                 weights, card, report, and `promotion.json`: when, and what it replaced

A version is written beside its place and renamed; the link is replaced in one step of the file system. Whenever the
process dies, `current` leads to the old version or to the new one, each whole.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.learning.files import FileTrouble, sync, whole_directory, words
from app.learning.judge_folder import REPORT, digest_of
from router.judges.weights import CARD, TENSORS

LINK: Final = "current"
_VERSIONS: Final = "versions"
_PROMOTION: Final = "promotion.json"


@dataclass(frozen=True, slots=True)
class Version:
    """A promoted judge: its directory, and the name of the version that it replaced (empty for the first)."""

    path: Path
    replaced: str


class JudgeStore:
    """Promotes and goes back. Several processes may: each waits for the other."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.link = directory / LINK
        self._versions = directory / _VERSIONS

    def current(self) -> Version | None:
        """The version in force, or None before the first. Raises FileTrouble where the store is damaged."""
        if not self.link.is_symlink():
            if self.link.exists():
                raise FileTrouble(f"{self.link} is not a link: this is no store of judges")
            return None
        path = self.link.resolve()
        try:
            return Version(path, str(json.loads((path / _PROMOTION).read_text("utf-8"))["replaced"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileTrouble(f"{path / _PROMOTION}: cannot be read") from error

    def promote(self, judge: Path) -> Version:
        """Copy a judge's directory into the store and put it in force. Raises FileTrouble; then nothing has changed."""
        digest = digest_of(judge)
        with self._locked():
            before = self.current()
            numbers = [int(path.name[:4]) for path in self._versions.glob("[0-9][0-9][0-9][0-9]-*")]
            place = self._versions / f"{max(numbers, default=0) + 1:04d}-{digest}"
            replaced = "" if before is None else before.path.name
            with whole_directory(place) as partial:
                for path in sorted(judge.iterdir()):
                    if path.name in (TENSORS, CARD, REPORT) or path.suffix == ".png":
                        shutil.copyfile(path, partial / path.name)
                if digest_of(partial) != digest:
                    raise FileTrouble(f"{judge} changed while it was copied; nothing was promoted")
                facts = {"time": time.time(), "replaced": replaced}
                (partial / _PROMOTION).write_text(json.dumps(facts) + "\n", "utf-8")
            self._point(place)
        return Version(place, replaced)

    def back(self) -> Version:
        """Put in force what the present version replaced. Raises FileTrouble where there is none."""
        with self._locked():
            present = self.current()
            if present is None or not present.replaced:
                raise FileTrouble(f"{self.directory}: no judge was in force before this one")
            place = self._versions / present.replaced
            digest_of(place)
            self._point(place)
        found = self.current()
        assert found is not None  # noqa: S101 - the link was just made
        return found

    def _point(self, place: Path) -> None:
        """The one step: a new link takes the old one's name."""
        fresh = self.directory / f".{LINK}-{os.getpid()}"
        try:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(Path(_VERSIONS) / place.name)
            os.replace(fresh, self.link)
            sync(self.directory)
        except OSError as error:
            raise FileTrouble(f"{self.link}: {words(error)}; the old judge stays in force") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._versions.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileTrouble(f"{self.directory}: {words(error)}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self._versions.glob(".*.partial-*"):  # by a process that was killed; the lock says it is gone
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(lock)
