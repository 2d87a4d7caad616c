"""The llm and cascade judges: one question to a backend, one token back. Knows HTTP; the question itself is router's.

The question follows the conversation as the Instruct pool would get it, with the same tools and template arguments, so
that the prefix cache holds nearly all of the later Instruct prefill.
"""

from collections.abc import Callable

import httpx
import msgspec

from app.judging.pending import Pending
from app.pools.http_clients import HttpClients
from app.pools.pool import Pool
from router.conversation import Conversation
from router.family import Body
from router.judges import Judge, JudgeError, Judgement
from router.judges.cascade import CascadePolicy
from router.judges.question import Question
from router.mode import Mode

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
# What shapes the prompt must stay as it is; what shapes the answer would get in the way of one plain token.
_NOT_ASKED = (
    *("stream", "stream_options", "n", "stop", "max_tokens", "max_completion_tokens", "min_tokens", "ignore_eos"),
    *("response_format", "structured_outputs", "logprobs", "top_logprobs", "logit_bias", "tool_choice", "seed"),
    *("thinking_token_budget", "include_reasoning", "echo", "prompt_logprobs"),
)


class BackendJudge:
    """Asks a pool for P(thinking helps). With a `first` judge it is a cascade: the backend is asked only where the
    first one's score lies within the policy's margin of the threshold."""

    def __init__(
        self,
        pool_for: Callable[[Pending], Pool],
        body_for: Callable[[Pending, Pool], Body],
        *,
        timeout_s: float,
        first: Judge | None = None,
        policy: CascadePolicy | None = None,
        question: Question | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = "llm" if first is None else "cascade"
        self.version = "1" if first is None else f"1+{first.name}@{first.version}"
        self._pool_for = pool_for
        self._body_for = body_for
        self._first = first
        self._policy = policy or CascadePolicy()
        self._question = question or Question()
        self._clients = HttpClients(timeout_s, transport)

    def score(self, conversation: Conversation) -> Judgement:
        """The first judge's word alone; raises JudgeError where there is none, since this one has to ask."""
        if self._first is None:
            raise JudgeError("the llm judge asks a backend and cannot score a text by itself")
        return self._first.score(conversation)

    explain = score

    def at_once(self, pending: Pending) -> Judgement | None:
        """The cascade's answer where the first judge is sure; None where the backend must be asked."""
        if self._first is None:
            return None
        found = self._first.score(pending.ask.conversation)
        return None if self._policy.should_ask(found.score, pending.ask.threshold) else found

    async def ask(self, pending: Pending) -> Judgement:
        """P(yes) by the backend's log-probabilities. Raises JudgeError, httpx.HTTPError or TimeoutError."""
        pool = self._pool_for(pending)
        replica = pool.choose()
        if replica is None:
            raise JudgeError("no replica to ask")
        fields = self._body_for(pending, pool)
        for name in _NOT_ASKED:
            fields.pop(name, None)
        messages = _decode(fields["messages"])
        fields["messages"] = msgspec.Raw(_encode(self._question.appended(messages)))
        for name, value in self._question.request_fields().items():
            fields[name] = msgspec.Raw(_encode(value))
        request = replica.http_request("/v1/chat/completions")
        request["headers"]["content-type"] = "application/json"
        answer = await self._clients.of(pool).post(content=_encode(fields), **request)
        if answer.status_code != 200:
            raise JudgeError(f"the backend answered with status {answer.status_code}")
        score = self._question.read(_decode(answer.content))
        if self._first is not None:
            first = self._first.score(pending.ask.conversation).score
            return Judgement(self._policy.combined(first, score), self.version)
        if score is None:
            raise JudgeError("the backend's answer says neither yes nor no")
        return Judgement(score, self.version)

    async def close(self) -> None:
        """Close its connections."""
        await self._clients.close()


def instruct_pool(pools: dict[str, Pool], named: str) -> Callable[[Pending], Pool]:
    """The pool to ask: the one that the settings name, else the Instruct pool of the request's own route."""

    def choose(pending: Pending) -> Pool:
        return pools[named or pending.route.pool_for(Mode.INSTRUCT)]

    return choose
