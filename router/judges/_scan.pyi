from typing import Any

def scan(
    text: str,
    classes: bytes,
    table: Any,
    shift: int,
    shape: Any,
    circumstances: int,
    keys: bytes,
    concepts: bytes,
    shares: bytes,
    orders: bytes,
) -> tuple[float, int, float, float]: ...
