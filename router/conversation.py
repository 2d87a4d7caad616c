"""What a judge may see of a request. Knows message shapes; knows nothing about judging.

Everything here is bounded: however long the messages are, only the head and tail of a text and the newest messages are
read, and no shape of input raises.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from router.approval import is_approval

ASK_HEAD_CHARS = 2400
ASK_TAIL_CHARS = 1200
"""A longer ask keeps its head and its tail: instructions stand before or after what was pasted, rarely inside."""

SYSTEM_CHARS = 600
_SCAN_CHARS = 65536  # a single text longer than this loses its middle before any pattern is tried on it
_MAX_MESSAGES = 512
_MAX_PARTS = 256
_MAX_BLOCKS = 64

_SYSTEM_ROLES = frozenset({"system", "developer"})
_TOOL_ROLES = frozenset({"tool", "function", "ipython"})
_TOOL_TYPES = frozenset({"function_call_output", "function_call", "tool_result", "computer_call_output", "mcp_call"})
_TEXT_TYPES = frozenset({"text", "input_text", "output_text"})
_IMAGE_TYPES = frozenset({"image_url", "input_image", "image", "image_file"})

# Blocks that agents and editors put into a user's turn; none of it was said by the human. The names are those of
# widely used coding agents (Claude Code, Cline, Codex, Cursor, Copilot).
_BLOCK = re.compile(
    r"<(system[-_]reminder|environment_(?:details|context)|user_instructions|additional_data|attached_files"
    r"|local-command-std(?:out|err)|command-(?:name|message|args)|ide_selection|ide_opened_file|editor_?context"
    r"|reminder(?:Instructions)?|workspace_info|repo_?map|tool_result|function_results|memories|INSTRUCTIONS)(?:\s[^<>]{0,200})?>"
)
_ASK_TAGS = ("user_query", "userRequest", "user_request", "task", "question", "query")
_SOFT_SWITCH = re.compile(r"(?<!\S)/(?:no_?)?think(?!\S)")


class Conversation(msgspec.Struct, frozen=True):
    """The bounded view of a request that judges score.

    `ask` is the last real human ask, with complete `<system-reminder>`-like blocks and soft switches stripped.
    `approved` is the work that a short approval ("yes", "go on", "好的") approves, else empty.
    `system` is a digest of the system prompt. Lengths are in characters.
    """

    ask: str
    approved: str = ""
    system: str = ""
    tools: int = 0
    response_format: str = ""
    images: int = 0
    turns: int = 1
    in_tool_loop: bool = False
    chars: int = 0
    previous: str = ""
    """The human ask before `ask`, else empty: what a follow-up ("why?") refers to."""

    @property
    def work(self) -> str:
        """The text to judge: the ask, or what it approves."""
        return f"{self.approved}\n{self.ask}" if self.approved else self.ask


class _Turn(msgspec.Struct, frozen=True):
    """One message, read: its role class and its text."""

    role: str  # "system", "tool", "assistant" or "user"
    text: str
    images: int
    calls: bool  # an assistant's turn that calls tools
    chars: int


def read_conversation(
    messages: Sequence[Mapping[str, Any]], *, tools: int = 0, response_format: str = ""
) -> Conversation:
    """The judge's view of OpenAI-style chat `messages`; tolerates any shape a backend might accept and never raises.

    `tools` is the number of tools offered, `response_format` the `type` asked for ("json_schema", …) or "".
    """
    if (simple := _one_ask(messages, tools, response_format)) is not None:
        return simple
    turns = [turn for turn in map(_read_turn, _newest(messages)) if turn is not None]
    human = [index for index, turn in enumerate(turns) if turn.role == "user" and turn.text]
    ask = turns[human[-1]].text if human else ""
    previous = turns[human[-2]].text if len(human) > 1 else ""
    spoken = [turn for turn in turns if turn.role != "system"]
    last = spoken[-1] if spoken else None
    return Conversation(
        ask=head_and_tail(ask, ASK_HEAD_CHARS, ASK_TAIL_CHARS),
        approved=_approved(turns, human) if is_approval(ask) else "",
        system=_system_digest(turns),
        tools=tools,
        response_format=response_format,
        images=sum(turn.images for turn in turns),
        turns=max(1, len(human)),
        in_tool_loop=last is not None and (last.role == "tool" or last.calls),
        chars=sum(turn.chars for turn in turns),
        previous=head_and_tail(previous, 400, 200),
    )


def _one_ask(messages: object, tools: int, response_format: str) -> Conversation | None:
    """The usual case at a tenth of the cost: one plain ask, perhaps below a plain system prompt. None for all else."""
    if type(messages) is not list or not 1 <= len(messages) <= 2:
        return None
    system = ""
    content: object = ""
    for message in messages:
        content = message.get("content") if type(message) is dict else None
        if type(content) is not str:
            return None
        role = message.get("role")
        if message is messages[-1]:
            if role != "user" or len(content) > ASK_HEAD_CHARS or "<" in content or "think" in content:
                return None
        elif role != "system" or len(content) > SYSTEM_CHARS:
            return None
        else:
            system = content
    assert isinstance(content, str)  # noqa: S101 - the last one was
    return Conversation(content.strip(), "", system, tools, response_format, 0, 1, False, len(system) + len(content))


def head_and_tail(text: str, head: int, tail: int) -> str:
    """`text` unchanged if it has at most `head + tail` characters, else both ends joined by a line with an ellipsis."""
    if len(text) <= head + tail:
        return text
    return f"{text[:head]}\n…\n{text[-tail:]}"


def strip_blocks(text: str) -> str:
    """`text` without the complete `<system-reminder>`-like blocks; an unclosed one stays, since it may be quoted."""
    if "</" not in text:
        return text
    kept: list[str] = []
    unclosed: set[str] = set()
    position = start = blocks = 0
    while blocks < _MAX_BLOCKS and (opening := _BLOCK.search(text, position)) is not None:
        blocks += 1
        tag = opening[1]
        end = -1 if tag in unclosed else text.find(f"</{tag}>", opening.end())
        if end < 0:
            unclosed.add(tag)  # never search for the same missing end twice: the time stays linear
            position = opening.end()
            continue
        kept.append(text[start : opening.start()])
        start = position = end + len(tag) + 3
    kept.append(text[start:])
    return "".join(kept)


def _newest(messages: object) -> Iterable[object]:
    """The first message (usually the system prompt) and the newest ones."""
    if type(messages) is list and len(messages) <= _MAX_MESSAGES:  # the usual case, without the slow abstract checks
        return messages
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if isinstance(messages, Mapping) or not isinstance(messages, Sequence):
        return []
    if len(messages) <= _MAX_MESSAGES:
        return messages
    return [messages[0], *messages[-_MAX_MESSAGES:]]


def _read_turn(message: object) -> _Turn | None:
    if isinstance(message, str):
        message = {"role": "user", "content": message}
    if type(message) is not dict and not isinstance(message, Mapping):
        return None
    role, kind = message.get("role"), message.get("type")
    text, images, tool_parts = _read_content(message.get("content"))
    chars = len(text)
    if role in _TOOL_ROLES if isinstance(role, str) else (isinstance(kind, str) and kind in _TOOL_TYPES):
        return _Turn("tool", "", images, False, chars)
    if isinstance(role, str) and role in _SYSTEM_ROLES:
        return _Turn("system", text, images, False, chars)
    if role == "assistant":
        calls = bool(message.get("tool_calls")) or bool(message.get("function_call")) or tool_parts > 0
        return _Turn("assistant", text, images, calls, chars)
    text = _human(text)
    if tool_parts and not text:
        return _Turn("tool", "", images, False, chars)
    return _Turn("user", text, images, False, chars)


def _read_content(content: object) -> tuple[str, int, int]:
    """(text, images, tool parts) of a message's content, which may be a string, a list of parts, or nonsense."""
    if type(content) is str and len(content) <= _SCAN_CHARS:
        return content, 0, 0
    if isinstance(content, str):
        return head_and_tail(content, _SCAN_CHARS // 2, _SCAN_CHARS // 2), 0, 0
    if not isinstance(content, Sequence) or isinstance(content, bytes | bytearray):
        return "", 0, 0
    texts: list[str] = []
    images = tool_parts = 0
    for part in islice(content, _MAX_PARTS):
        if isinstance(part, str):
            texts.append(part)
            continue
        if not isinstance(part, Mapping):
            continue
        kind, text = part.get("type"), part.get("text")
        if isinstance(text, str) and (not isinstance(kind, str) or kind in _TEXT_TYPES):
            texts.append(text)
        elif not isinstance(kind, str):
            continue
        elif kind in _IMAGE_TYPES:
            images += 1
        elif kind in _TOOL_TYPES or kind == "tool_use":
            tool_parts += 1
    if len(texts) > 1:
        texts = [head_and_tail(text, _SCAN_CHARS // 2, _SCAN_CHARS // 2) for text in texts]
    return head_and_tail("\n".join(texts), _SCAN_CHARS // 2, _SCAN_CHARS // 2), images, tool_parts


def _human(text: str) -> str:
    """What the human said in a user's turn: blocks and soft switches gone, the query of a wrapper alone."""
    if "<" in text:
        text = strip_blocks(text)
        if text.lstrip()[:1] == "<":
            text = _unwrapped(text)
    if "think" in text:
        text = _SOFT_SWITCH.sub(" ", text)
    return text.strip()


def _unwrapped(text: str) -> str:
    """The one complete query inside a text of tagged sections, or the text as it is."""
    for tag in _ASK_TAGS:
        start, end = text.find(f"<{tag}>"), text.rfind(f"</{tag}>")
        if 0 <= start < end and text.count(f"<{tag}>") == 1 and (query := text[start + len(tag) + 2 : end].strip()):
            return query
    return text


def _approved(turns: Sequence[_Turn], human: Sequence[int]) -> str:
    """The newest human ask that is no approval itself, and the assistant's last words before the approval."""
    proposal = ""
    for turn in reversed(turns[: human[-1]]):
        if turn.role == "assistant" and turn.text:
            proposal = turn.text
            break
    else:
        return ""
    asks = (turns[index].text for index in reversed(human[:-1]))
    work = next((ask for ask in islice(asks, 16) if not is_approval(ask)), "")
    return "\n".join(filter(None, (head_and_tail(work, 900, 600), head_and_tail(proposal, 300, 900))))


def _system_digest(turns: Sequence[_Turn]) -> str:
    text = "\n".join(turn.text for turn in turns if turn.role == "system")
    return head_and_tail(text, SYSTEM_CHARS * 2 // 3, SYSTEM_CHARS // 3)
