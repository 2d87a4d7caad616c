"""The soft switches `/think` and `/no_think` in message text. Knows where they count; knows nothing about modes' cost.

Qwen3 (April 2025) reads them in system and user messages, and the latest one wins. A switch is a word of its own: not
inside code, a URL or a path (`/think/about`), and not a quotation of the switch itself.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from router.mode import Mode

# Chinese, Japanese and Korean text is written without spaces, so their letters and punctuation bound a word too.
_CJK = "\u2e80-\u30ff\u3100-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
_SWITCH = re.compile(
    rf"(?<![^\s(\[{{{_CJK}])/(no_)?think(?=$|[\s{_CJK}]|[.,;:!?)\]}}]+(?:$|[\s{_CJK}]))",
)
_CODE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_READ_IN = frozenset({"user", "system", "developer"})


def _switches(text: str) -> list[re.Match[str]]:
    if "think" not in text:
        return []
    found = list(_SWITCH.finditer(text))
    if found and ("`" in text or "~~~" in text):
        code = [m.span() for m in _CODE.finditer(text)]
        found = [m for m in found if not any(a <= m.start() < b for a, b in code)]
    return found


def switch_in(text: str) -> Mode | None:
    """The mode that the last soft switch in `text` asks for, or None where there is none."""
    found = _switches(text)
    if not found:
        return None
    return Mode.INSTRUCT if found[-1].group(1) else Mode.THINKING


def strip_switches(text: str) -> str:
    """`text` without its soft switches and the spaces that set them apart; everything else stays as it is."""
    found = _switches(text)
    for m in reversed(found):
        before, after = text[: m.start()], text[m.end() :]
        if not after.strip(" \t") or after[0] == "\n":
            before = before.rstrip(" \t")
        elif not before or before[-1] in " \t\n":
            after = after.lstrip(" \t")
        text = before + after
    return text


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if isinstance(content, list):
        return [t for part in content if isinstance(part, dict) and isinstance(t := part.get("text"), str)]
    return []


def last_switch(messages: Sequence[Any]) -> Mode | None:
    """The mode asked for by the latest soft switch in system and user `messages`, or None."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") in _READ_IN:
            for text in reversed(_texts(message)):
                mode = switch_in(text)
                if mode is not None:
                    return mode
    return None


def without_switches(messages: Sequence[Any]) -> list[Any]:
    """`messages` with the soft switches taken out; messages that have none are the same objects as before."""
    out: list[Any] = []
    for message in messages:
        if isinstance(message, dict) and message.get("role") in _READ_IN:
            content = message.get("content")
            if isinstance(content, str):
                clean: Any = strip_switches(content)
            elif isinstance(content, list):
                clean = [
                    {**part, "text": strip_switches(part["text"])}
                    if isinstance(part, dict) and isinstance(part.get("text"), str)
                    else part
                    for part in content
                ]
            else:
                clean = content
            if clean != content:
                message = {**message, "content": clean}
        out.append(message)
    return out
