"""POST /v1/route: the decision for a request, and why; no backend is asked. Knows the planner; forwards nothing."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from app.dataplane.any_request import parse_any
from app.dataplane.asgi_client import read_body
from app.dataplane.planner import Planner
from app.judging.pending import Pending
from app.settings import Server

EXAMPLE = {"model": "auto", "messages": [{"role": "user", "content": "Prove that the square root of 2 is irrational."}]}


def dry_run(planner: Planner, server: Server) -> APIRouter:
    """The router with /v1/route."""
    routes = APIRouter(prefix="/v1", tags=["routing"])

    @routes.post(
        "/route",
        summary="What would be decided, and why; no backend is asked.",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}, "example": EXAMPLE}},
            }
        },
    )
    async def route(
        request: Request,
        api: Annotated[
            str,
            Query(
                description="Whose body it is: chat, completions, responses or messages. Told by its fields if absent."
            ),
        ] = "",
    ) -> dict[str, Any]:
        body = await read_body(request.receive, request.scope["headers"], server.max_body_bytes, server.body_timeout_s)
        parsed = parse_any(body, api)
        started = time.perf_counter()
        plan = planner.plan(parsed, dict(request.scope["headers"]), request.scope["thinkgate.caller"], explain=True)
        if isinstance(plan, Pending):
            plan = await planner.judged(plan)
        took_ms = (time.perf_counter() - started) * 1e3
        decision = plan.routing.decision
        seen = plan.conversation
        return {
            "score": None,
            "threshold": None,
            "judge": None,
            "budget": None,
            **plan.routing.as_dict(),
            "features": [{"name": f.name, "push": round(f.push, 4)} for f in decision.features],
            "seen": {
                "ask": seen.ask[:500],
                "approved": seen.approved[:500],
                "turns": seen.turns,
                "tools": seen.tools,
                "images": seen.images,
                "in_tool_loop": seen.in_tool_loop,
                "chars": seen.chars,
            },
            "took_ms": round(took_ms, 3),
        }

    return routes
