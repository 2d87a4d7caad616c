"""Which headers cross the gateway."""

import pytest

from app.dataplane.headers import for_client, for_upstream, headers_of, lines_of

KEYS = [
    (b"authorization", b"Bearer client"),
    (b"x-api-key", b"client"),
    (b"cookie", b"c=1"),
    (b"proxy-authorization", b"x"),
]


@pytest.mark.parametrize("header", KEYS)
def test_a_clients_keys_never_go_upstream(header):
    assert b"client" not in for_upstream([header, (b"x-ok", b"1")])
    assert header[0] not in for_upstream([header])


@pytest.mark.parametrize(
    "name", [b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"proxy-connection"]
)
def test_hop_by_hop_headers_cross_in_neither_direction(name):
    assert name + b":" not in for_upstream([(name, b"x")])
    assert name + b":" not in for_client([(name, b"x")])


def test_headers_that_connection_names_do_not_go_upstream():
    sent = for_upstream([(b"connection", b"X-Secret, close"), (b"x-secret", b"1"), (b"x-other", b"2")])
    assert headers_of(sent) == [(b"x-other", b"2")]


def test_other_headers_go_upstream_without_the_request_id_which_the_gateway_writes():
    sent = for_upstream([(b"user-agent", b"ua"), (b"traceparent", b"00-1"), (b"x-request-id", b"mine")])
    assert headers_of(sent) == [(b"user-agent", b"ua"), (b"traceparent", b"00-1")]


def test_a_clients_own_framing_and_routing_headers_stay_here():
    names = [
        b"host",
        b"content-length",
        b"content-type",
        b"accept-encoding",
        b"expect",
        b"x-thinkgate-mode",
        b"x-thinkgate-profile",
    ]
    assert headers_of(for_upstream([(n, b"x") for n in names])) == []


def test_the_backends_headers_reach_the_client_without_its_framing():
    answer = [
        (b"content-type", b"text/event-stream"),
        (b"server", b"uvicorn"),
        (b"content-length", b"3"),
        (b"date", b"d"),
        (b"x-v", b"1"),
    ]
    assert headers_of(for_client(answer)) == [
        (b"content-type", b"text/event-stream"),
        (b"x-v", b"1"),
    ]


def test_lines_and_headers_say_the_same():
    headers = [(b"a", b"1"), (b"b", b"x: y"), (b"c", b"")]
    assert headers_of(lines_of(headers)) == headers
