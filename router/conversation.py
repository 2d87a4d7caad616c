"""What a judge may see of a request. Knows message shapes; knows nothing about judging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Conversation:
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


def read_conversation(
    messages: Sequence[Mapping[str, Any]], *, tools: int = 0, response_format: str = ""
) -> Conversation:
    """The judge's view of OpenAI-style chat `messages`; tolerates any shape a backend might accept."""
    raise NotImplementedError
