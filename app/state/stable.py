"""Names that mean the same in every process, as `hash` does not. Knows bytes; knows nothing of what it names."""

from collections.abc import Hashable
from hashlib import blake2b

DIGEST_BYTES = 16
_LONG = 8192


def digest(value: Hashable) -> bytes:
    """16 bytes for a value made of text and numbers, which tell nothing of it to who does not know it."""
    return blake2b(repr(value).encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()


def stable_hash(value: tuple[int, str]) -> int:
    """For `hash`, where gateways must agree. Of a long text the ends are read, and how long it is."""
    before, text = value
    if len(text) > _LONG:
        text = f"{text[: _LONG // 2]}{len(text)}{text[-_LONG // 2 :]}"
    return int.from_bytes(digest((before, text))[:8], "big") >> 1
