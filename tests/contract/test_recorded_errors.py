"""Every error that vLLM gave becomes one shape, with its status and message kept."""

import json

import pytest

from app.errors import UpstreamError
from tests.fixtures import names, recorded

ERRORS = [name for name in names("err_*") if recorded(name).status >= 400]


def shown(error):
    return json.loads(error.body())["error"]


@pytest.mark.parametrize("name", ERRORS)
def test_a_recorded_error_has_openais_shape(name):
    answer = recorded(name)
    error = UpstreamError.from_answer(answer.status, answer.body)
    body = shown(error)
    assert set(body) == {"message", "type", "param", "code"}
    assert isinstance(body["message"], str)
    assert body["message"]
    assert isinstance(body["type"], str)
    assert (b"content-type", b"application/json") in error.headers()


@pytest.mark.parametrize("name", [name for name in ERRORS if recorded(name).status not in (401, 403)])
def test_a_recorded_error_keeps_its_status_message_and_members(name):
    answer = recorded(name)
    error = UpstreamError.from_answer(answer.status, answer.body)
    assert error.status == answer.status
    original = json.loads(answer.body)
    said = original.get("error") or {"message": original["detail"]}
    assert shown(error)["message"] == said["message"]
    for member in ("type", "param", "code"):
        if said.get(member) is not None:
            assert shown(error)[member] == said[member]


def test_there_are_recordings_of_every_odd_shape():
    bodies = [recorded(name).body for name in ERRORS]
    assert any(b'"detail"' in body for body in bodies)
    assert any(b'"error":"Unauthorized"' in body for body in bodies)
    assert len(ERRORS) > 15


def test_a_refused_key_is_the_gateways_fault_and_not_the_clients():
    answer = recorded("err_401_noauth")
    assert answer.status == 401
    error = UpstreamError.from_answer(answer.status, answer.body)
    assert error.status == 502
    assert shown(error)["code"] == "upstream_failed"


def test_a_full_queue_says_when_to_come_again():
    answer = recorded("err_503_queue_full")
    assert answer.status == 503
    assert UpstreamError.from_answer(503, answer.body).retry_after_s == 1
    assert UpstreamError.from_answer(503, answer.body, b"7").retry_after_s == 7
