"""GET /v1/savings: what routing saved against always thinking. Knows the log's hourly sums; reads no decision."""

import time
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from app.api.from_log import answers, json_answer, only, the_log, unavailable
from app.decisions.log import DecisionLog
from app.decisions.measured import Measured, measured
from app.decisions.savings import ENOUGH, Savings, estimate
from app.decisions.store import StoreError
from app.errors import BadRequest

HOUR_S = 3600
MOST_HOURS = 366 * 24
DEFAULT_S = 24 * HOUR_S
_YEAR_9999_S = 253_402_300_799
CAVEATS = (
    "Counted are answers with status 200 and known tokens whose mode the gateway chose; tokens are those generated, "
    "thinking included.",
    "A request that was answered without thinking is compared with thinking answers of the same profile and a like "
    "score. `extrapolated` of them had no like ones: the nearest scores stand in. Easier requests tend to think less, "
    "so this overstates what was saved.",
    f"Where fewer than {ENOUGH} thinking answers can be compared with, nothing is estimated (`not_compared`).",
    "The interval covers chance alone: not extrapolation, and not that requests with equal scores may differ.",
    "Seconds are those of the whole request, slow readers and queues included.",
    "`measured` is of shadows alone: by their mode, what it used more than the client's answer to the same request.",
)
_AMOUNT = {"used": 412_300.0, "saved": 655_210.0, "low": 631_044.1, "high": 679_375.9, "share": 0.6138}
_ONE: dict[str, Any] = {
    "instruct": 1204,
    "thinking": 398,
    "extrapolated": 1131,
    "not_compared": 0,
    "tokens": _AMOUNT,
    "seconds": {"used": 6120.4, "saved": 8190.2, "low": 7873.6, "high": 8506.8, "share": 0.5723},
}
EXAMPLE: dict[str, Any] = {
    "object": "savings",
    "tenant": "default",
    "from": 1795507200,
    "to": 1795593600,
    "confidence": 0.95,
    "total": _ONE,
    "profiles": {"default": _ONE},
    "measured": {
        "instruct": {"pairs": 0, "tokens": None, "seconds": None},
        "thinking": {
            "pairs": 214,
            "tokens": {"mean": 548.2, "low": 511.7, "high": 584.7},
            "seconds": {"mean": 6.8, "low": 6.3, "high": 7.3},
        },
    },
    "caveats": list(CAVEATS),
}


class SavingsAnswer(msgspec.Struct):
    """`from` and `to` are whole hours in seconds since 1970, `to` not included."""

    tenant: str
    from_s: int = msgspec.field(name="from")
    to_s: int = msgspec.field(name="to")
    total: Savings
    profiles: dict[str, Savings]
    measured: dict[str, Measured]
    confidence: float = 0.95
    caveats: tuple[str, ...] = CAVEATS
    object: str = "savings"


def savings(log: DecisionLog | None) -> APIRouter:
    """The router with /v1/savings."""
    api = APIRouter(prefix="/v1", tags=["decisions"])

    @api.get(
        "/savings",
        summary="Tokens and seconds saved against always thinking, for the caller's tenant, with an interval.",
        responses=answers(EXAMPLE) | {404: {"description": "There is no log."}},
    )
    async def saved(
        request: Request,
        from_s: Annotated[
            float | None,
            Query(
                alias="from",
                ge=0,
                le=_YEAR_9999_S,
                allow_inf_nan=False,
                description="Seconds since 1970; rounded down to the hour. A day before `to` if absent.",
            ),
        ] = None,
        to_s: Annotated[
            float | None,
            Query(
                alias="to",
                ge=0,
                le=_YEAR_9999_S,
                allow_inf_nan=False,
                description="Seconds since 1970; rounded up to the hour. Now if absent.",
            ),
        ] = None,
        profile: Annotated[str | None, Query(max_length=200, description="Only this profile.")] = None,
    ) -> Response:
        kept = the_log(log)
        only(set(request.query_params), "from", "to", "profile")
        end_s = time.time() if to_s is None else to_s
        last = -int(-end_s // HOUR_S)
        first = int((end_s - DEFAULT_S if from_s is None else from_s) // HOUR_S)
        if not 0 <= last - first <= MOST_HOURS:
            raise BadRequest("`from` must be before `to`, and at most 366 days.", param="from")
        tenant = request.scope["thinkgate.caller"].tenant
        try:
            sums = await kept.ask(kept.sums, tenant, first, last)
            shadows = await kept.ask(kept.shadow_sums, tenant, first * HOUR_S, last * HOUR_S)
        except StoreError:
            raise unavailable() from None
        if profile is not None:
            sums = [one for one in sums if one.profile == profile]
            shadows = [one for one in shadows if one.profile == profile]
        total, by_profile = estimate(sums)
        answer = SavingsAnswer(tenant, first * HOUR_S, last * HOUR_S, total, by_profile, measured(shadows))
        return json_answer(answer)

    return api
