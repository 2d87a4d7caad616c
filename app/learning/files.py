"""Files that are whole or not there: written beside their place, forced to disk, renamed. Knows no content."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


class FileTrouble(Exception):
    """The disk refused something; the message says what, in words for a person."""


@contextlib.contextmanager
def whole_directory(place: Path) -> Iterator[Path]:
    """A directory to fill; it appears at `place` when the block ends well, and not at all otherwise.

    Raises FileTrouble where `place` is taken, or the disk fails (nothing is left behind then).
    """
    if place.exists() or place.is_symlink():
        raise FileTrouble(f"{place} is there already; name another directory, or remove it")
    partial = place.with_name(f".{place.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        yield partial
        for path in [*partial.rglob("*"), partial]:
            sync(path)
        partial.rename(place)
        sync(place.parent)
    except OSError as error:
        raise FileTrouble(f"{place}: {words(error)}; nothing was written") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sync(path: Path) -> None:
    """Force a file or a directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """The digest of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def words(error: OSError) -> str:
    """What the system said, in lower case."""
    return (error.strerror or type(error).__name__).lower()
