"""The two names of the reasoning field, `reasoning` and `reasoning_content`, edited in place. Knows bytes of JSON.

Clients are split between the names, so answers carry both unless the profile says otherwise. The edit never parses:
inside a JSON string every quote is escaped, so the byte sequence `"reasoning":"` can only be a member's name.
"""

from router.profile import ReasoningFields

_NAMES = (b'"reasoning":"', b'"reasoning_content":"')
_WANTED: dict[ReasoningFields, tuple[bytes, ...]] = {
    "both": (b'"reasoning":', b'"reasoning_content":'),
    "reasoning": (b'"reasoning":',),
    "reasoning_content": (b'"reasoning_content":',),
}


def string_end(data: bytes, start: int) -> int:
    """The index of the quote that closes the JSON string whose first character is at `start`; -1 if it never ends."""
    end = data.find(b'"', start)
    while end > 0:
        backslashes = 0
        while data[end - 1 - backslashes] == 0x5C:
            backslashes += 1
        if not backslashes & 1:
            return end
        end = data.find(b'"', end + 1)
    return end


def rename_reasoning(data: bytes, wanted: ReasoningFields) -> tuple[bytes, int]:
    """`data` with each reasoning string under the wanted names, and the bytes of reasoning text found.

    Where the backend gives both names already, an object keeps one value for each wanted name.
    """
    if _NAMES[0] not in data and _NAMES[1] not in data:
        return data, 0
    names = _WANTED[wanted]
    out: list[bytes] = []
    at = found = 0
    has_both = _NAMES[0] in data and _NAMES[1] in data
    while True:
        first = data.find(_NAMES[0], at)
        second = data.find(_NAMES[1], at)
        start = first if second < 0 or 0 <= first < second else second
        if start < 0:
            break
        name = _NAMES[0] if start == first else _NAMES[1]
        value_start = start + len(name) - 1
        value_end = string_end(data, value_start + 1)
        if value_end < 0:
            break
        value = data[value_start : value_end + 1]
        found += len(value) - 2
        if has_both and name == _NAMES[1]:
            # The same text under its other name: it is written with the first one.
            cut = data[at:start]
            out.append(cut[:-1] if cut.endswith(b",") else cut)
            at = value_end + 1
            if cut.endswith(b"{") and data[at : at + 1] == b",":
                at += 1
            found -= len(value) - 2
            continue
        out.append(data[at:start])
        out.append(b",".join([n + value for n in names]))
        at = value_end + 1
    out.append(data[at:])
    return b"".join(out), found
