"""Health, metrics and version: what operators and orchestrators ask. Knows pools' state; routes nothing."""

from collections.abc import Callable
from importlib.metadata import version as distribution_version

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from app.metrics import Meters
from app.pools.pool import Pool
from app.settings import Settings

VERSION = distribution_version("thinkgate")


def operations(
    settings: Settings,
    pools: dict[str, Pool],
    meters: Meters,
    judge: str,
    stopping: Callable[[], bool] = lambda: False,
) -> APIRouter:
    """The router with /health, /health/live, /health/ready, /metrics and /version."""
    api = APIRouter(tags=["operations"])

    def routes_ready() -> dict[str, bool]:
        ready = {}
        for alias, route in settings.routes.items():
            names = [route.pool] if route.pool else [route.instruct, route.thinking]
            ups = [pools[name].up for name in names]
            profile = settings.profiles.get(route.profile)
            if profile is not None and profile.mode is not None:
                ready[alias] = pools[route.pool_for(profile.mode)].up
            else:
                ready[alias] = any(ups) if profile is None or profile.fallback else all(ups)
        return ready

    @api.get("/health/live", summary="Is the process alive?")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/health/ready", summary="Can every route be answered?", responses={503: {"description": "Not ready."}})
    async def ready() -> JSONResponse:
        routes = routes_ready()
        ok = all(routes.values()) and not stopping()
        status = "stopping" if stopping() else "ok" if ok else "not ready"
        return JSONResponse({"status": status, "routes": routes}, 200 if ok else 503)

    @api.get("/health", summary="The state of routes and pools.")
    async def health() -> JSONResponse:
        routes = routes_ready()
        state = {
            name: {"up": pool.up, "replicas_up": sum(r.up for r in pool.replicas), "replicas": len(pool.replicas)}
            for name, pool in pools.items()
        }
        status = "ok" if all(routes.values()) else "not ready"
        return JSONResponse({"status": status, "routes": routes, "pools": state, "judge": judge})

    @api.get("/metrics", summary="Prometheus metrics.", response_class=Response)
    async def metrics() -> Response:
        return Response(await meters.scrape(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @api.get("/version", summary="The gateway's version.")
    async def version() -> dict[str, str]:
        return {"name": "thinkgate", "version": VERSION, "judge": judge}

    return api
