"""No body of any protocol makes the gateway fail: a thousand broken ones for each, from the bytes to the backend's."""

import pytest
from hypothesis import HealthCheck, given, settings

from app.dataplane.any_request import PARSERS, parse_any
from tests.bad_bodies import bodies
from tests.fuzz.targets import work_through

PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "messages": "/v1/messages",
         "responses": "/v1/responses"}  # fmt: skip
a_thousand = settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("api", PARSERS)
def test_a_broken_body_is_a_bad_request_or_can_be_worked_with(api):
    @a_thousand
    @given(bodies(PATHS[api]))
    def check(body):
        work_through(PARSERS[api], body)

    check()


@pytest.mark.parametrize("path", PATHS.values())
def test_a_body_of_any_protocol_is_told_apart_without_failing(path):
    @settings(a_thousand, max_examples=200)
    @given(bodies(path))
    def check(body):
        work_through(parse_any, body)

    check()
