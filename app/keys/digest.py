"""A key's digest: what is kept instead of the key. Knows SHA-256; knows no file.

A fast hash is right for keys of 256 random bits, such as `thinkgate keys create` makes: there is nothing to guess.
"""

import hashlib
import re
import secrets

PREFIX = "sha256:"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest_of(key: bytes) -> str:
    """`sha256:` and 64 hexadecimal digits."""
    return PREFIX + hashlib.sha256(key).hexdigest()


def is_digest(text: str) -> bool:
    """Is it a digest and not a key?"""
    return _DIGEST.fullmatch(text) is not None


def new_key() -> str:
    """A fresh key of 256 random bits."""
    return "tg-" + secrets.token_urlsafe(32)


def id_of(digest: str) -> str:
    """A short name for a key, which tells nothing of it."""
    return "key_" + digest.removeprefix(PREFIX)[:12]
