"""What routing needs of a request, whatever its protocol. An interface: each protocol's request is one."""

from typing import Any, Protocol

import msgspec

from router.family import Body, Family
from router.fields import FieldIntent
from router.mode import Mode


class RoutedRequest(Protocol):
    """A request of one of the routed protocols, parsed.

    `fields` holds the body's fields as raw JSON. `messages` is the conversation as a judge reads it: chat messages,
    whatever the protocol calls them. `choices` is the number of answers asked for; `wants_usage` whether the client
    shall see the chunk of a stream that only holds usage; `may_switch` is False where no soft switch can be in the
    text; `session` is the conversation's name by the client's own fields, or empty.
    """

    @property
    def model(self) -> str: ...
    @property
    def fields(self) -> Body: ...
    @property
    def messages(self) -> list[dict[str, Any]]: ...
    @property
    def intent(self) -> FieldIntent: ...
    @property
    def stream(self) -> bool: ...
    @property
    def wants_usage(self) -> bool: ...
    @property
    def choices(self) -> int: ...
    @property
    def tools(self) -> int: ...
    @property
    def response_format(self) -> str: ...
    @property
    def session(self) -> str: ...
    @property
    def may_switch(self) -> bool: ...

    def for_backend(self, family: Family, mode: Mode | None, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The fields that a backend of `family` gets for `mode`, in the request's own protocol."""
        ...

    def for_judge(self, family: Family, model: msgspec.Raw, switch: Mode | None) -> Body:
        """The fields of a chat completion in instruct mode, for a judge that asks a backend."""
        ...
