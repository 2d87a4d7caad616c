from typing import Any

def scan(
    text: str, classes: bytes, table: Any, shift: int, shape: Any, circumstances: int
) -> tuple[float, int, float]: ...
