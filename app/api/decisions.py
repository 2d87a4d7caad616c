"""GET /v1/decisions: the caller's own decisions, from the log. Knows the log; decides nothing."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from app.api.from_log import answers, json_answer, only, the_log, unavailable
from app.decisions.log import DecisionLog
from app.decisions.record import DecisionRecord
from app.decisions.store import Query as PageQuery
from app.decisions.store import StoreError, UnknownCursor
from app.errors import BadRequest, NotFound
from router.mode import Mode, Reason

MAX_LIMIT = 500
EXAMPLE: dict[str, Any] = {
    "id": "dec_37d5bd48f53690babb582f90",
    "time": 1795516271.482,
    "tenant": "default",
    "api": "chat",
    "asked": "auto",
    "profile": "default",
    "mode": "thinking",
    "reason": "judge",
    "because": "score 0.9371 >= threshold 0.5",
    "score": 0.9371,
    "threshold": 0.5,
    "judge": "linear@2026.11.3",
    "pool": "deep",
    "model": "qwen-thinking",
    "fallback_from": "",
    "status": 200,
    "stream": True,
    "prompt_tokens": 24,
    "reasoning_tokens": 611,
    "answer_tokens": 203,
    "ttft_s": 0.084,
    "duration_s": 9.41,
    "judge_s": 0.000021,
    "prompt": None,
    "propensity": None,
}
FEEDBACK_EXAMPLE: dict[str, Any] = {
    "id": "fb_6b0537d12f0c9a1be37744d0",
    "decision_id": EXAMPLE["id"],
    "time": 1795516302.117,
    "verdict": "overprovisioned",
    "correct": True,
    "note": "A look-up would have done.",
    "object": "feedback",
}


SHADOW_EXAMPLE: dict[str, Any] = {
    "decision_id": EXAMPLE["id"],
    "time": 1795516275.91,
    "profile": "default",
    "mode": "instruct",
    "tokens": 190,
    "seconds": 2.31,
    "client_tokens": 814,
    "client_seconds": 9.41,
    "answer": None,
}


class DecisionPage(msgspec.Struct):
    """A page in the shape of OpenAI's lists; `last_id` is the next page's `before`."""

    data: list[DecisionRecord]
    has_more: bool
    first_id: str | None
    last_id: str | None
    object: str = "list"


def decisions(log: DecisionLog | None) -> APIRouter:
    """The router with /v1/decisions and /v1/decisions/{id}; without a log both say how to get one."""
    api = APIRouter(prefix="/v1", tags=["decisions"])

    @api.get(
        "/decisions",
        summary="The decisions made for the caller's tenant, the newest first.",
        responses=answers(
            {
                "object": "list",
                "data": [EXAMPLE],
                "has_more": False,
                "first_id": EXAMPLE["id"],
                "last_id": EXAMPLE["id"],
            }
        ),
    )
    async def page(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Decisions a page.")] = 50,
        before: Annotated[
            str, Query(max_length=100, description="The id behind which the page begins: `last_id` of the one before.")
        ] = "",
        mode: Annotated[Mode | None, Query(description="Only those that were answered in this mode.")] = None,
        reason: Annotated[Reason | None, Query(description="Only those with this reason.")] = None,
    ) -> Response:
        kept = the_log(log)
        only(set(request.query_params), "limit", "before", "mode", "reason")
        tenant = request.scope["thinkgate.caller"].tenant
        try:  # one more than asked for tells whether there are more
            found = await kept.ask(kept.page, PageQuery(tenant, limit + 1, before, mode, reason))
        except UnknownCursor:
            raise BadRequest(
                "`before` must be the id of a decision that is still in the log (decisions.keep_days).", param="before"
            ) from None
        except StoreError:
            raise unavailable() from None
        data = [record.explained() for record in found[:limit]]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return json_answer(DecisionPage(data, len(found) > limit, first, last))

    @api.get(
        "/decisions/{decision_id}",
        summary="One of them, with what was said of it (`POST /v1/feedback`), and its shadow where it has one.",
        responses=answers(EXAMPLE | {"feedback": [FEEDBACK_EXAMPLE], "shadow": SHADOW_EXAMPLE})
        | {404: {"description": "The caller's tenant has no such decision, or no log."}},
    )
    async def one(request: Request, decision_id: str) -> Response:
        kept = the_log(log)
        tenant = request.scope["thinkgate.caller"].tenant
        try:
            found = await kept.ask(kept.get, tenant, decision_id)
            feedback = [] if found is None else await kept.ask(kept.feedback, tenant, decision_id)
            shadow = None if found is None else await kept.ask(kept.shadow, tenant, decision_id)
        except StoreError:
            raise unavailable() from None
        if found is None:
            raise NotFound(f"There is no decision `{decision_id[:100]}`.")
        return json_answer({**msgspec.structs.asdict(found.explained()), "feedback": feedback, "shadow": shadow})

    return api
