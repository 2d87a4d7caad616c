"""The answer to a request whose thinking has left no room for one. Knows HTTP and vLLM's endpoints; knows no client.

First the think block is closed and generation goes on: the chat's prompt as token ids (`/tokenize`), the thinking and
the closing tag behind it, and a raw completion. `continue_final_message` would be simpler, but vLLM 0.32's parsers take
what follows a block that was closed in the prompt for reasoning, and some chat templates cut closed blocks out. Where
that is not possible, or fails, the Instruct side answers.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from app.dataplane.special import Special
from app.pools.http_clients import HttpClients
from app.pools.pool import Pool
from app.pools.replica import Replica
from app.settings import Timeouts
from router.family import Body
from router.mode import Mode
from router.tags import GRAMMARS, Part, Piece, TagReader

if TYPE_CHECKING:
    from app.dataplane.plan import Plan
    from app.dataplane.planner import Planner

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_OF_THE_PROMPT = ("model", "messages", "chat_template", "chat_template_kwargs", "continue_final_message")
_NOT_OF_A_COMPLETION = frozenset(
    (
        *("model", "messages", "chat_template", "chat_template_kwargs", "add_generation_prompt"),
        *("continue_final_message", "max_tokens", "max_completion_tokens", "min_tokens", "stream", "stream_options"),
        *("n", "tools", "tool_choice", "parallel_tool_calls", "logprobs", "top_logprobs", "reasoning_effort"),
        *("thinking_token_budget", "include_reasoning", "echo", "add_special_tokens", "documents", "store", "metadata"),
    )
)
_ROOM = 16
"""Fewer tokens than this are no room for an answer."""


class NoSecondAnswer(Exception):
    """It cannot be had in this way."""


class End(msgspec.Struct, frozen=True):
    """How a second answer ended: `how` it was got, its finish reason, and the tokens that it took."""

    how: str
    finish_reason: str
    tokens: int


def may_be_rescued(plan: "Plan") -> bool:
    """Is a second answer wanted, and can there be one? With tools a call might be due; choices would need one each."""
    special = plan.special
    return (
        special is not None
        and special.rescue_tokens > 0
        and special.told is not Mode.INSTRUCT
        and plan.request.choices == 1
        and plan.request.tools == 0
        and plan.route is not None
    )


class Rescuer:
    """Asks for second answers. It has connections of its own: a rescue is rare."""

    def __init__(
        self, planner: "Planner", timeouts: Timeouts, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._planner = planner
        limits = httpx.Timeout(timeouts.first_byte_s, connect=timeouts.connect_s, read=timeouts.first_byte_s)
        self._clients = HttpClients(limits, transport)

    async def answer(self, plan: "Plan", replica: Replica, thought: str) -> AsyncGenerator[str | End, None]:
        """The texts of an answer as they come, then its End. Raises NoSecondAnswer or httpx.HTTPError."""
        begun = False
        try:
            async for piece in self._continued(plan, replica, thought):
                begun = True
                yield piece
        except (NoSecondAnswer, httpx.HTTPError, msgspec.DecodeError, KeyError, TypeError):
            if begun:
                raise
        else:
            return
        async for piece in self._instruct(plan):
            yield piece

    async def close(self) -> None:
        """Close its connections."""
        await self._clients.close()

    async def _continued(self, plan: "Plan", replica: Replica, thought: str) -> AsyncIterator[str | End]:
        special = _special(plan)
        family = special.family
        if not family.closing or plan.conversation.images:
            raise NoSecondAnswer("the block cannot be closed")
        fields = _decode(plan.body)
        asked = {name: fields[name] for name in _OF_THE_PROMPT if name in fields}
        asked["add_generation_prompt"] = fields.get("add_generation_prompt", True)
        prompt = await self._post(replica, "/tokenize", {**asked, "return_token_strs": True})
        opened = "<think>" in "".join(prompt["token_strs"][-8:])
        opening = "" if opened else family.prefill.get(Mode.THINKING, "<think>\n")
        text = opening + thought.rstrip() + family.closing
        more = {"model": fields["model"], "prompt": text, "add_special_tokens": False}
        tokens = prompt["tokens"] + (await self._post(replica, "/tokenize", more))["tokens"]
        room = min(special.rescue_tokens, prompt["max_model_len"] - len(tokens))
        if room < min(_ROOM, special.rescue_tokens):
            raise NoSecondAnswer("the model's context is full")
        body = {
            **{name: value for name, value in fields.items() if name not in _NOT_OF_A_COMPLETION},
            "model": fields["model"],
            "prompt": tokens,
            "max_tokens": room,
        }
        reader = TagReader(GRAMMARS["kat-v1"], "answer") if "<answer>" in family.closing else _plain_reader()
        async for piece in self._told(replica, "/v1/completions", body, reader, "continued"):
            yield piece

    async def _instruct(self, plan: "Plan") -> AsyncIterator[str | End]:
        pool, fields = self._planner.instruct_side(plan)
        places = None if pool is plan.pool else pool.places  # in its own pool the request has a place yet
        if places is not None and not places.take():
            raise NoSecondAnswer("no place")  # it waits for none: the client has waited for the first answer
        try:
            async for piece in self._asked(_special(plan), pool, fields):
                yield piece
        finally:
            if places is not None:
                places.leave()

    async def _asked(self, special: Special, pool: Pool, fields: Body) -> AsyncIterator[str | End]:
        replica = pool.choose()
        if replica is None:
            raise NoSecondAnswer("no replica")
        body = {name: _decode(value) for name, value in fields.items()}
        for name in ("max_completion_tokens", "logprobs", "top_logprobs", "n"):
            body.pop(name, None)
        body["max_tokens"] = special.rescue_tokens
        reader = special.family.reader(Mode.INSTRUCT) if special.family.tags else _plain_reader()
        async for piece in self._told(replica, "/v1/chat/completions", body, reader, "instruct"):
            yield piece

    async def _told(
        self, replica: Replica, path: str, body: dict[str, Any], reader: TagReader, how: str
    ) -> AsyncIterator[str | End]:
        """A stream's texts, through `reader`, and its End."""
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        finish_reason, tokens = "", 0
        replica.in_flight += 1
        try:
            request = _request(replica, path)
            async with self._clients.of(replica).stream("POST", content=_encode(body), **request) as answer:
                if answer.status_code != 200:
                    raise NoSecondAnswer(f"status {answer.status_code}")
                async for line in answer.aiter_lines():
                    if not line.startswith("data:") or line.endswith("[DONE]"):
                        continue
                    data = _decode(line[5:])
                    if not isinstance(data, dict) or "error" in data:
                        raise NoSecondAnswer("an error in the stream")
                    tokens = (data.get("usage") or {}).get("completion_tokens", tokens)
                    for choice in data.get("choices", ()):
                        text = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
                        finish_reason = choice.get("finish_reason") or finish_reason
                        if said := _content(reader.feed(text)):
                            yield said
        finally:
            replica.in_flight -= 1
        if not finish_reason:
            raise NoSecondAnswer("it broke off")
        if said := _content(reader.finish()):
            yield said
        yield End(how, finish_reason, tokens)

    async def _post(self, replica: Replica, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self._clients.of(replica).post(content=_encode(body), **_request(replica, path))
        if answer.status_code != 200:
            raise NoSecondAnswer(f"{path}: status {answer.status_code}")
        data: dict[str, Any] = _decode(answer.content)
        return data


def _request(replica: Replica, path: str) -> dict[str, Any]:
    request = replica.http_request(path)
    request["headers"]["content-type"] = "application/json"
    return request


def _content(pieces: list[Piece]) -> str:
    return "".join(text for part, text in pieces if part is Part.CONTENT)


def _plain_reader() -> TagReader:
    """Everything is content, but for blank lines that lead it."""
    return TagReader(GRAMMARS["think"], "content")


def _special(plan: "Plan") -> Special:
    assert plan.special is not None  # noqa: S101 - may_be_rescued has said so
    return plan.special
