"""POST /v1/feedback: what somebody says of a decision. Knows the log; changes no decision."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from app.api.decisions import FEEDBACK_EXAMPLE
from app.api.from_log import answers, json_answer, the_log, unavailable
from app.dataplane.asgi_client import read_body
from app.decisions.feedback import (
    NOTE_CHARS,
    Feedback,
    KeyReused,
    TooMuchFeedback,
    UnknownDecision,
    Verdict,
    new_feedback,
)
from app.decisions.log import DecisionLog
from app.decisions.store import StoreError
from app.errors import BadRequest, IdempotencyKeyReused, NotFound, TooManyFeedbacks
from app.settings import Server
from router.mode import Mode

MAX_BODY_BYTES = 65_536
KEY_CHARS = 255
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["decision_id", "verdict"],
    "additionalProperties": False,
    "properties": {
        "decision_id": {"type": "string", "description": "`x-thinkgate-decision-id` of the answer."},
        "verdict": {"type": "string", "enum": [verdict.value for verdict in Verdict]},
        "correct": {"type": ["boolean", "null"], "description": "Was the answer right?"},
        "note": {"type": ["string", "null"], "maxLength": NOTE_CHARS, "description": "Kept as it is."},
    },
}
_EXAMPLE = {name: FEEDBACK_EXAMPLE[name] for name in ("decision_id", "verdict", "correct", "note")}


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    decision_id: str
    verdict: Verdict
    correct: bool | None = None
    note: str | None = None


_NAME = re.compile(r"(?:field `|at `\$\.)([^`]+)`$")  # in msgspec's messages
_decode = msgspec.json.Decoder(_Body).decode


def feedback(log: DecisionLog | None, server: Server, count: Callable[[Mode, Verdict], None]) -> APIRouter:
    """The router with /v1/feedback. `count` is called once for each verdict that is new."""
    api = APIRouter(prefix="/v1", tags=["decisions"])

    @api.post(
        "/feedback",
        summary="Say how well the mode of a decision fitted.",
        responses=answers(FEEDBACK_EXAMPLE)
        | {
            200: {"description": "Stored.", "content": {"application/json": {"example": FEEDBACK_EXAMPLE}}},
            404: {"description": "The caller's tenant has no such decision, or there is no log."},
            409: {"description": "The decision has as many verdicts as it may have."},
            422: {"description": "The idempotency key was used for other feedback."},
        },
        openapi_extra={
            "parameters": [
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "schema": {"type": "string", "maxLength": KEY_CHARS},
                    "description": "Any name of this one attempt: sent again, the same answer comes, and nothing else "
                    "happens.",
                }
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _SCHEMA, "example": _EXAMPLE}},
            },
        },
    )
    async def give(request: Request) -> Response:
        kept = the_log(log)
        key = request.headers.get("idempotency-key", "").strip()
        if len(key) > KEY_CHARS:
            raise BadRequest(f"`Idempotency-Key` may have {KEY_CHARS} characters.", param="Idempotency-Key")
        limit = min(server.max_body_bytes, MAX_BODY_BYTES)
        said = _read(await read_body(request.receive, request.scope["headers"], limit, server.body_timeout_s))
        tenant = request.scope["thinkgate.caller"].tenant
        name = sha256(key.encode()).hexdigest() if key else ""
        try:
            given = await kept.ask(kept.give, tenant, said, name)
        except UnknownDecision:
            raise NotFound(f"There is no decision `{said.decision_id}`.") from None
        except KeyReused:
            raise IdempotencyKeyReused(
                "This `Idempotency-Key` was used for other feedback.", param="Idempotency-Key"
            ) from None
        except TooMuchFeedback:
            raise TooManyFeedbacks("The decision has as much feedback as it may have.", param="decision_id") from None
        except StoreError:
            raise unavailable() from None
        if given.mode is not None:
            count(given.mode, given.feedback.verdict)
        return json_answer(given.feedback)

    return api


def _read(body: bytes) -> Feedback:
    """Raises BadRequest."""
    try:
        said = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = str(error)[:300]
        named = _NAME.search(text)
        raise BadRequest(f"The body cannot be used: {text}.", param=named[1][:50] if named else None) from None
    if not said.decision_id or len(said.decision_id) > 100 or not said.decision_id.isprintable():
        raise BadRequest("`decision_id` must be the id of a decision.", param="decision_id")
    if said.note is not None and (len(said.note) > NOTE_CHARS or "\0" in said.note):
        raise BadRequest(f"`note` must be text of at most {NOTE_CHARS} characters.", param="note")
    return new_feedback(said.decision_id, said.verdict, said.correct, said.note)
