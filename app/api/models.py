"""GET /v1/models: the aliases that clients may name, and the pools' own models. Knows settings; asks no backend.

The entries have both OpenAI's and Anthropic's names for the same facts, so that both kinds of client read them.
"""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request

from app.errors import ModelNotFound
from app.settings import Settings
from router.mode import Mode


def models(settings: Settings) -> APIRouter:
    """The router with /v1/models and /v1/models/{id}."""
    api = APIRouter(prefix="/v1", tags=["models"])
    started = datetime.now(UTC).replace(microsecond=0)
    created = int(started.timestamp())

    def entry(name: str, **extra: Any) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": created,
            "owned_by": "thinkgate",
            # Anthropic's names for the same
            "type": "model",
            "display_name": name,
            "created_at": started.isoformat().replace("+00:00", "Z"),
            **extra,
        }

    entries: dict[str, dict[str, Any]] = {}
    for alias, route in settings.routes.items():
        targets = {mode.value: settings.pools[route.pool_for(mode)].model for mode in Mode}
        entries[alias] = entry(alias, kind="route", family=route.family, profile=route.profile, models=targets)
        for mode in Mode:
            name = f"{alias}-{mode.value}"
            entries.setdefault(name, entry(name, kind="mode_alias", mode=mode.value, models=targets))
    for pool_name, pool in settings.pools.items():
        entries.setdefault(pool.model, entry(pool.model, kind="pool", pool=pool_name))

    def allowed(request: Request) -> dict[str, dict[str, Any]]:
        names = request.scope["thinkgate.caller"].names
        return entries if names is None else {name: e for name, e in entries.items() if name in names}

    @api.get("/models", summary="Every name that the key may put in `model`.")
    async def list_models(request: Request) -> dict[str, Any]:
        shown = allowed(request)
        names = list(shown)
        return {
            "object": "list",
            "data": list(shown.values()),
            "has_more": False,
            "first_id": names[0] if names else None,
            "last_id": names[-1] if names else None,
        }

    @api.get("/models/{model_id:path}", summary="One of them.")
    async def get_model(request: Request, model_id: str) -> dict[str, Any]:
        entries = allowed(request)
        if model_id not in entries:
            raise ModelNotFound(f"The model `{model_id[:200]}` does not exist.", param="model")
        return entries[model_id]

    return api
