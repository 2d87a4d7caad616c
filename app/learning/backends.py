"""Asking both modes, and a grading model. Knows HTTP and the gateway's mode header; grades nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import httpx

from router.mode import Mode

_AGAIN: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_NOBODY: Final = frozenset({401, 403, 404, 405})
ATTEMPTS: Final = 5
_FIRST_WAIT_S: Final = 0.5
_MODE: Final = "x-thinkgate-mode"


class Unreachable(Exception):
    """A backend that does not answer, or refuses everybody; the message says who and why."""


class Refused(Exception):
    """The backend refuses this prompt; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`tokens` are those of the whole completion, thinking included; None where nobody told. `logprobs` are the first
    tokens' own (natural), where they were asked for and told."""

    text: str
    tokens: int | None
    seconds: float
    finish: str
    logprobs: tuple[float, ...] = ()


class Backends:
    """A gateway, by a client whose base URL it is (or which calls one in this process)."""

    def __init__(self, client: httpx.AsyncClient, model: str, options: Mapping[str, Any]) -> None:
        self._client = client
        self.model = model
        self._options = dict(options)
        self.first_wait_s = _FIRST_WAIT_S

    async def ask(
        self, messages: Sequence[Mapping[str, Any]], mode: Mode, seed: int | None = None, logprobs: int = 0
    ) -> Answer:
        """One sample of a mode's answer, with its first `logprobs` tokens' log-probabilities. Raises Unreachable or
        Refused."""
        body = {"model": self.model, "messages": list(messages), **self._options}
        if seed is not None:
            body["seed"] = seed
        if logprobs:
            body["logprobs"] = True
        started = monotonic()
        found, headers = await self._post(body, {_MODE: str(mode)})
        seconds = monotonic() - started
        routing = found.get("routing") if isinstance(found, dict) else None
        answered = headers.get(_MODE) or (routing.get("mode") if isinstance(routing, dict) else "")
        if answered != mode:  # by a profile that forces a mode, or by no gateway at all
            raise Unreachable(
                f"{self._client.base_url} (model {self.model}): asked for {mode}, answered in "
                f"{answered or 'no named'} mode; is it a gateway, and does the route's profile let clients choose?"
            )
        return _read(found, seconds, logprobs)

    async def verdict(self, model: str, messages: Sequence[Mapping[str, Any]]) -> str:
        """A grading model's words. Raises Unreachable or Refused."""
        body = {"model": model, "messages": list(messages), "temperature": 0, "max_tokens": 512}
        return _read((await self._post(body, {}))[0], 0.0).text

    async def _post(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[Any, Mapping[str, str]]:
        why = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(self.first_wait_s * 2 ** (attempt - 1))
            try:
                response = await self._client.post("/v1/chat/completions", json=dict(body), headers=dict(headers))
            except (httpx.HTTPError, OSError) as error:
                why = f"{type(error).__name__}: {error}".rstrip(": ")
                continue
            if response.status_code == 200:
                try:
                    return response.json(), response.headers
                except ValueError:
                    why = "the answer is not JSON"
                    continue
            why = f"status {response.status_code}: {_message(response)}"
            if response.status_code in _NOBODY:
                break
            if response.status_code not in _AGAIN:
                raise Refused(why)
        raise Unreachable(f"{self._client.base_url} (model {body['model']}): {why}")


def _read(body: Any, seconds: float, logprobs: int = 0) -> Answer:
    try:
        choice = body["choices"][0]
        tokens = (body.get("usage") or {}).get("completion_tokens")
        told = ((choice.get("logprobs") or {}).get("content") or ())[:logprobs]
        return Answer(
            choice["message"].get("content") or "",
            tokens,
            round(seconds, 4),
            str(choice.get("finish_reason") or ""),
            tuple(round(min(0.0, float(token["logprob"])), 4) for token in told),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise Refused("the answer is no chat completion") from None


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return response.text[:300]
