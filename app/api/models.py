"""GET /v1/models: the aliases that clients may name, and the pools' own models. Knows settings; asks no backend."""

import time
from typing import Any

from fastapi import APIRouter

from app.errors import ModelNotFound
from app.settings import Settings
from router.mode import Mode


def models(settings: Settings) -> APIRouter:
    """The router with /v1/models and /v1/models/{id}."""
    api = APIRouter(prefix="/v1", tags=["models"])
    created = int(time.time())

    def entry(name: str, **extra: Any) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": created, "owned_by": "thinkgate", **extra}

    entries: dict[str, dict[str, Any]] = {}
    for alias, route in settings.routes.items():
        targets = {mode.value: settings.pools[route.pool_for(mode)].model for mode in Mode}
        entries[alias] = entry(alias, kind="route", family=route.family, profile=route.profile, models=targets)
        for mode in Mode:
            name = f"{alias}-{mode.value}"
            entries.setdefault(name, entry(name, kind="mode_alias", mode=mode.value, models=targets))
    for pool_name, pool in settings.pools.items():
        entries.setdefault(pool.model, entry(pool.model, kind="pool", pool=pool_name))

    @api.get("/models", summary="Every name that `model` may hold.")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": list(entries.values())}

    @api.get("/models/{model_id:path}", summary="One of them.")
    async def get_model(model_id: str) -> dict[str, Any]:
        if model_id not in entries:
            raise ModelNotFound(f"The model `{model_id[:200]}` does not exist.", param="model")
        return entries[model_id]

    return api
