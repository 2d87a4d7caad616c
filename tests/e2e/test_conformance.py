"""The gateway against the backend itself: the same requests to both, and the same answers.

What may differ is what docs/api.md names under "What is different from vLLM itself"; same.py takes it out.
"""

import json
from collections.abc import Iterator

import httpx
import pytest

from .conftest import KEY, Server
from .same import is_error, same_stream, same_whole
from .shapes import Shape, shapes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
SHAPES = shapes()


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    # vLLM closes a connection after each failure of its own, which a kept connection would only learn later.
    with httpx.Client(timeout=120, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        yield client


def ask(http: httpx.Client, url: str, shape: Shape) -> httpx.Response:
    content = json.dumps(shape.body).encode() if shape.content is None else shape.content
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    return http.post(url + shape.path, content=content, headers=headers)


def compare(shape: Shape, ours: httpx.Response, theirs: httpx.Response) -> None:
    if shape.stream and shape.status >= 400 and theirs.status_code == 200:
        # vLLM may begin a stream with 200 only to tell an error; the gateway has not sent anything by then.
        assert theirs.content.startswith(b'data: {"error"'), theirs.text
        assert ours.status_code == shape.status, ours.text
        is_error(shape.path, ours.content)
        return
    assert theirs.status_code == shape.status or not shape.status, f"the backend itself: {theirs.text}"
    assert ours.status_code == theirs.status_code, f"{ours.text} // {theirs.text}"
    if theirs.status_code >= 400:
        assert ours.headers["content-type"] == "application/json"
        is_error(shape.path, ours.content)
        return
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    if theirs.headers["content-type"].startswith("text/event-stream"):
        assert same_stream(ours.content) == same_stream(theirs.content)
    else:
        assert same_whole(ours.content) == same_whole(theirs.content)


def test_there_are_enough_shapes_and_no_two_are_the_same() -> None:
    assert len(SHAPES) > 500
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert len({(s.path, json.dumps(s.body), s.content) for s in SHAPES}) == len(SHAPES)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_answer_is_the_backends_own(
    gateway: Server, engines: dict[str, Server], http: httpx.Client, shape: Shape
) -> None:
    engine = engines[shape.model.removeprefix("mini-")]
    compare(shape, ask(http, gateway.url, shape), ask(http, engine.url, shape))


ALIASED = [s for s in SHAPES if s.status == 0 and s.name.rsplit("-", 1)[1] in ("plain", "n", "tool_required", "length")]


@pytest.mark.parametrize("shape", ALIASED, ids=lambda shape: shape.name)
def test_a_mode_alias_answers_as_the_model_that_it_leads_to(
    gateway: Server, engines: dict[str, Server], http: httpx.Client, shape: Shape
) -> None:
    """With every sampling field written down there is nothing for the family to fill in."""
    role = shape.model.removeprefix("mini-")
    sampling = {"top_p": 1, "top_k": -1, "min_p": 0}
    if shape.path == "/v1/messages":
        sampling = {"top_p": 1, "top_k": -1}
    body = {**shape.body, **sampling}
    if "stream" in body and "include_usage" not in json.dumps(body) and shape.path.endswith("completions"):
        body["stream_options"] = {"include_usage": True}
    direct = Shape(shape.name, shape.path, body, shape.model, status=0)
    routed = Shape(shape.name, shape.path, {**body, "model": f"auto-{role}"}, shape.model, status=0)
    compare(direct, ask(http, gateway.url, routed), ask(http, engines[role].url, direct))
