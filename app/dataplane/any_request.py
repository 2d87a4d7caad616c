"""A body of whichever routed protocol. Knows what tells the protocols apart; the protocols' modules know the rest."""

from collections.abc import Callable

from app.dataplane.chat_request import ChatRequest, decode_object
from app.dataplane.completions.request import CompletionRequest
from app.dataplane.messages.request import MessageRequest
from app.dataplane.responses.request import ResponseRequest
from app.dataplane.routed_request import RoutedRequest
from app.errors import BadRequest
from router.family import Body

PARSERS: dict[str, Callable[[bytes], RoutedRequest]] = {
    "chat": ChatRequest.parse,
    "completions": CompletionRequest.parse,
    "responses": ResponseRequest.parse,
    "messages": MessageRequest.parse,
}
# Fields that a Messages request has and a chat completion has not; without any of them the two mean the same.
_ONLY_IN_MESSAGES = frozenset(("system", "stop_sequences", "output_config", "anthropic_version"))


def parse_any(body: bytes, api: str = "") -> RoutedRequest:
    """The request in `body`: of the protocol called `api`, or of the one whose fields it has. Raises BadRequest."""
    if not api:
        api = _told_by(decode_object(body))
    parse = PARSERS.get(api)
    if parse is None:
        raise BadRequest(f"`api` must be one of {', '.join(PARSERS)}.", param="api")
    return parse(body)


def _told_by(fields: Body) -> str:
    if "messages" in fields:
        thinking = bytes(fields["thinking"]) if "thinking" in fields else b""
        tools = bytes(fields["tools"]) if "tools" in fields else b""
        if _ONLY_IN_MESSAGES & fields.keys() or b'"budget_tokens"' in thinking or b'"input_schema"' in tools:
            return "messages"
        return "chat"
    if "input" in fields:
        return "responses"
    return "completions" if "prompt" in fields else "chat"
