"""Bad input at every endpoint, with real backends behind: the API's own error shape and never a fault.

`THINKGATE_EXAMPLES` sets the number of bodies an endpoint.
"""

import os
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from tests.bad_bodies import ENDPOINTS, bodies

from .conftest import KEY, Server
from .same import is_error

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
EXAMPLES = int(os.environ.get("THINKGATE_EXAMPLES", "100"))
MODELS = ("auto", "auto-instruct", "auto-thinking", "mini-instruct", "mini-thinking")


@pytest.fixture(scope="module")
def http(gateway: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=120, trust_env=False) as client:
        client.headers["authorization"] = f"Bearer {KEY}"
        yield client


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_broken_body_is_never_a_fault(http: httpx.Client, path: str) -> None:
    seen: set[int] = set()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(bodies(path, MODELS))
    def check(body: bytes) -> None:
        answer = http.post(path, content=body, headers={"content-type": "application/json"})
        seen.add(answer.status_code)
        assert answer.status_code < 500, f"{body!r}: {answer.text}"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/json"
            is_error(path, answer.content)

    check()
    assert 400 in seen
    assert http.get("/health/ready").status_code == 200


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "", "application/json; charset=latin-1"])
def test_an_odd_content_type_is_no_fault(http: httpx.Client, path: str, content_type: str) -> None:
    answer = http.post(path, content=b"\xff\xfe{", headers={"content-type": content_type})
    assert answer.status_code == 400
    is_error(path, answer.content)
