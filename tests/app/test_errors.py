"""Errors: statuses, shapes, headers."""

import json

import pytest

from app import errors
from app.errors import GatewayError, MethodNotAllowed, Unauthorized, UpstreamBusy, UpstreamError

SHAPES = [
    (errors.BadRequest, 400, "invalid_request_error"),
    (errors.Unauthorized, 401, "authentication_error"),
    (errors.ModelNotFound, 404, "invalid_request_error"),
    (errors.NotFound, 404, "invalid_request_error"),
    (errors.RequestTimeout, 408, "invalid_request_error"),
    (errors.TooLarge, 413, "invalid_request_error"),
    (errors.GatewayError, 500, "server_error"),
    (errors.UpstreamFailed, 502, "server_error"),
    (errors.UpstreamBusy, 503, "server_error"),
    (errors.UpstreamTimeout, 504, "server_error"),
]


@pytest.mark.parametrize(("kind", "status", "type_"), SHAPES)
def test_each_error_has_its_status_and_openais_shape(kind, status, type_):
    error = kind("what happened", param="field")
    body = json.loads(error.body())
    assert error.status == status
    assert body == {"error": {"message": "what happened", "type": type_, "param": "field", "code": kind.code}}
    assert isinstance(error, GatewayError)


def test_401_says_how_to_authenticate():
    assert (b"www-authenticate", b"Bearer") in Unauthorized("x").headers()


def test_405_says_what_is_allowed():
    assert (b"allow", b"POST") in MethodNotAllowed("x", allow="POST").headers()


def test_retry_after_is_sent_where_it_is_known():
    assert (b"retry-after", b"3") in UpstreamBusy("x", retry_after_s=3).headers()
    assert not any(name == b"retry-after" for name, _ in UpstreamBusy("x").headers())


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, b'{"error":{"message":"no"}}', "no"),
        (400, b'{"error":"plain"}', "plain"),
        (404, b'{"detail":"Not Found"}', "Not Found"),
        (422, b'{"detail":[{"loc":["body"]}]}', "The backend answered with status 422."),
        (500, b"Internal Server Error", "The backend answered with status 500."),
        (502, b"<html>", "The backend answered with status 502."),
        (500, b"", "The backend answered with status 500."),
        (500, b"[1]", "The backend answered with status 500."),
        (500, b'{"error":{"message":7}}', "The backend answered with status 500."),
        (500, b'{"error":null}', "The backend answered with status 500."),
        (500, b"\xff\xfe", "The backend answered with status 500."),
        (500, b"[" * 100_000, "The backend answered with status 500."),
    ],
)
def test_any_shape_of_a_backends_error_is_brought_to_one(status, body, message):
    error = UpstreamError.from_answer(status, body)
    assert (error.status, error.message) == (status, message)
    assert error.type == ("invalid_request_error" if status < 500 else "server_error")


@pytest.mark.parametrize("status", [401, 403])
def test_a_backend_that_refuses_the_gateways_key_is_a_bad_gateway(status):
    assert UpstreamError.from_answer(status, b'{"error":"Unauthorized"}').status == 502


@pytest.mark.parametrize(
    ("status", "header", "wait"), [(503, b"", 1), (429, b"", 1), (429, b"30", 30), (503, b"soon", 1), (500, b"", None)]
)
def test_the_backends_retry_after_is_kept_or_made_up_where_it_matters(status, header, wait):
    assert UpstreamError.from_answer(status, b"", header).retry_after_s == wait


@pytest.mark.parametrize("code", ["context_length_exceeded", 400])
def test_the_backends_code_is_kept_and_else_is_the_status(code):
    body = json.dumps({"error": {"message": "m", "code": code, "param": "messages", "type": "T"}}).encode()
    error = UpstreamError.from_answer(400, body)
    assert (error.code, error.param, error.type) == (code, "messages", "T")
    assert UpstreamError.from_answer(400, b'{"error":{"message":"m"}}').code == 400
