"""GET /console: the page for people, and its files. Knows their names; all data comes from the other endpoints."""

from fastapi import APIRouter, Request, Response

from app.console.files import HEADERS, PAGE, console_files
from app.console.settings import Console
from app.errors import NotFound


def console(settings: Console) -> APIRouter:
    """The router with /console and the files below it; an empty one where the console is off."""
    api = APIRouter(tags=["operations"])
    if not settings.enabled:
        return api
    known = console_files()

    async def answer(request: Request) -> Response:
        file = known.get(request.scope["path"])
        if file is None:
            raise NotFound(f"Unknown path: {request.scope['path'][:200]}. The console is at {PAGE}.")
        seen = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if file.etag in seen:
            return Response(status_code=304, headers=file.headers())
        return Response(file.body, headers=file.headers(), media_type=file.media_type)

    async def slash() -> Response:
        # Relative, so that it holds behind a proxy that serves the gateway below a path of its own.
        return Response(status_code=308, headers={**HEADERS, "location": f"..{PAGE}"})

    api.add_api_route(
        PAGE,
        answer,
        methods=["GET"],
        summary="The console: a page for people.",
        response_class=Response,
        responses={200: {"description": "The page.", "content": {"text/html": {}}}},
    )
    api.add_api_route(PAGE, answer, methods=["HEAD"], include_in_schema=False)
    api.add_api_route(f"{PAGE}/", slash, methods=["GET", "HEAD"], include_in_schema=False)
    api.add_api_route(PAGE + "/{name:path}", answer, methods=["GET", "HEAD"], include_in_schema=False)
    return api


def console_paths(settings: Console) -> tuple[str, ...]:
    """The paths that need no key: the page's own files, which hold nothing secret."""
    return (*console_files(), f"{PAGE}/") if settings.enabled else ()
