"""A backend's connection: framing, and the two ways past the parser."""

import asyncio
from typing import Any

import pytest

from app.pools.answer_head import KnownHeads
from app.pools.connection import Connection, ProtocolViolation

HEAD = b"HTTP/1.1 200 OK\r\ndate: now\r\nserver: x\r\ncontent-length: %d\r\ncontent-type: application/json\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Transport:
    """Takes bytes and remembers whether it was cut."""

    aborted = False

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True


class Answer:
    """A sink that notes what it is told; with `leaves` it cuts the connection at the first bytes of a body."""

    def __init__(self, connection: Connection, leaves: bool = False) -> None:
        self.connection = connection
        self.leaves = leaves
        self.told: list[Any] = []
        self.chunks: list[bytes] = []

    def head(self) -> None:
        self.told.append((self.connection.status, dict(self.connection.headers)))

    def body(self, data: bytes, chunk: bytes = b"") -> None:
        self.told.append(data)
        self.chunks.append(chunk)
        if self.leaves:
            self.connection.abort()

    def ended(self, error: Exception | None) -> None:
        self.told.append(error)


@pytest.fixture
def connection() -> Connection:
    connection = Connection(KnownHeads())
    connection.connection_made(Transport())
    return connection


def test_two_answers_to_one_request_are_none(connection):
    reads = HEAD % 2 + b"{}" + HEAD % 2 + b"[]"
    told = ask(connection, reads).told
    assert isinstance(told[-1], ProtocolViolation)
    assert b"{}[]" not in told
    assert not connection.reusable()


def ask(connection: Connection, *reads: bytes, leaves: bool = False) -> Answer:
    answer = Answer(connection, leaves)
    connection.send(b"", answer)
    for data in reads:
        connection.data_received(data)
    return answer


def untouchable(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing may reach the parser."""

    class Parser:
        def feed_data(self, data: bytes) -> None:
            pytest.fail("the parser was asked")

    connection._parser = Parser()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_a_head_seen_before_is_not_parsed_again(connection, monkeypatch):
    first = ask(connection, HEAD % 5 + b"hello")
    untouchable(connection, monkeypatch)
    second = ask(connection, HEAD % 12 + b"hello, again")
    assert second.told[0][0] == first.told[0][0] == 200
    assert second.told[0][1].keys() == first.told[0][1].keys()
    assert second.told[1:] == [b"hello, again", None]
    assert connection.reusable()


@pytest.mark.parametrize(
    "reads",
    [
        [HEAD % 5 + b"hel", b"lo"],
        [HEAD % 5, b"hello"],
        [(HEAD % 5)[:30], (HEAD % 5)[30:] + b"hello"],
        [(HEAD % 5).replace(b"content-length", b"Content-Length") + b"hello"],
        [(HEAD % 5).replace(b"server: x", b"server: y") + b"hello"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
    ],
)
def test_every_other_answer_is_parsed_as_ever_after_a_known_one(connection, reads):
    ask(connection, HEAD % 5 + b"first")
    ask(connection, HEAD % 6 + b"second")
    answer = ask(connection, *reads)
    assert b"".join(answer.told[1:-1]) == b"hello"
    assert answer.told[-1] is None
    assert ask(connection, HEAD % 5 + b"after").told[1:] == [b"after", None]


SURPLUS = [b" and more", HEAD % 6 + b"second", (HEAD % 6)[:30], b"\x00", b"HTTP/1.1 100 x\r\n\r\n"]


@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("known", [False, True])
def test_an_answer_longer_than_announced_is_none(connection, surplus, known):
    if known:
        ask(connection, HEAD % 5 + b"other")
    answer = ask(connection, HEAD % 5 + b"first" + surplus)
    assert isinstance(answer.told[-1], ProtocolViolation)
    assert len(answer.told) == 1
    assert not connection.reusable()


@pytest.mark.parametrize("surplus", SURPLUS)
def test_what_follows_an_answer_that_was_given_out_cuts_the_connection(connection, surplus):
    answer = ask(connection, HEAD % 5 + b"first", surplus)
    assert answer.told[1:] == [b"first", None]
    assert not connection.reusable()


def test_a_head_that_closes_is_not_kept(connection):
    closing = HEAD.replace(b"server: x", b"connection: close")
    ask(connection, closing % 2 + b"ok")
    assert not connection.reusable()
    assert not connection._known._heads


def test_two_framings_at_once_are_refused_and_never_known(connection):
    both = HEAD.replace(b"server: x", b"transfer-encoding: chunked")
    answer = ask(connection, both % 5 + b"0\r\n\r\n")
    assert isinstance(answer.told[-1], ProtocolViolation)
    assert not connection._known._heads


def test_whole_chunks_go_past_the_parser_with_their_framing(connection, monkeypatch):
    answer = ask(connection, STREAM + chunk(b"data: 1\n\n"))
    parser = connection._parser
    untouchable(connection, monkeypatch)
    connection.data_received(chunk(b"data: 2\n\n"))
    connection.data_received(chunk(b"x" * 4095))
    connection._parser = parser
    connection.data_received(chunk(b"data: 3\n\n") + b"0\r\n\r\n")
    assert answer.told[1:] == [b"data: 1\n\n", b"data: 2\n\n", b"x" * 4095, b"data: 3\n\n", None]
    assert answer.chunks == [b"", chunk(b"data: 2\n\n"), chunk(b"x" * 4095), b""]
    assert connection.reusable()


@pytest.mark.parametrize("cut", range(1, 60))
def test_wherever_a_stream_is_cut_the_same_bytes_come_out(connection, cut):
    parts = [b"data: %d\n\n" % i for i in range(4)]
    wire = STREAM + b"".join(map(chunk, parts)) + b"0\r\n\r\n"
    answer = ask(connection, *[wire[i : i + cut] for i in range(0, len(wire), cut)])
    assert b"".join(answer.told[1:-1]) == b"".join(parts)
    assert answer.told[-1] is None
    assert connection.reusable()


def test_a_chunk_inside_a_chunk_is_content(connection):
    inner = chunk(b"hello")
    outer = chunk(b"ab\r\n" + inner)
    head_of_outer = outer[: outer.index(inner)]  # ends in CR LF, inside the outer chunk
    answer = ask(connection, STREAM + chunk(b"first"), head_of_outer, inner, b"\r\n0\r\n\r\n")
    assert b"".join(answer.told[1:-1]) == b"first" + b"ab\r\n" + inner
    assert answer.told[-1] is None


def test_a_chunk_inside_a_body_of_known_length_is_content(connection):
    body = b"{}\r\n" + chunk(b"hello")
    answer = ask(connection, HEAD % len(body) + b"{}\r\n", chunk(b"hello"))
    assert b"".join(answer.told[1:-1]) == body
    assert answer.chunks == [b"", b""]


@pytest.mark.parametrize("size", [b"5 ", b"0x5", b"+5", b"05", b"5;a=b", b"A"])
def test_sizes_written_otherwise_are_the_parsers_business(connection, size):
    answer = ask(connection, STREAM + chunk(b"first"))
    data = size + b"\r\n" + b"h" * (10 if size == b"A" else 5) + b"\r\n"
    connection.data_received(data)
    assert answer.chunks[1:] in ([], [b""])  # refused by the parser, or given on without the framing


def test_a_chunk_without_its_end_is_refused(connection):
    answer = ask(connection, STREAM + chunk(b"first"), b"5\r\nhelloXX")
    assert isinstance(answer.told[-1], ProtocolViolation)


def test_a_size_in_two_reads_is_one_size(connection):
    text = b"hello\r\n" + b"x" * 14
    answer = ask(connection, STREAM + chunk(b"first") + b"1", b"5\r\nhello\r\n", b"x" * 14 + b"\r\n0\r\n\r\n")
    assert b"".join(answer.told[1:-1]) == b"first" + text
    assert answer.told[-1] is None


def test_bytes_after_the_last_chunk_cut_the_connection(connection):
    ask(connection, STREAM + chunk(b"a") + b"0\r\n\r\n")
    connection.data_received(chunk(b"stray"))
    assert not connection.reusable()


def test_a_second_answer_in_the_read_that_ends_a_stream_is_none_of_it(connection):
    answer = ask(connection, STREAM + chunk(b"a"), b"0\r\n\r\n" + HEAD % 6 + b"second")
    assert answer.told[1] == b"a"
    assert isinstance(answer.told[-1], ProtocolViolation)
    assert b"second" not in answer.told


def test_a_sink_that_cuts_the_connection_hears_no_more(connection):
    ask(connection, HEAD % 5 + b"hello")
    assert ask(connection, HEAD % 5 + b"hello", leaves=True).told[1:] == [b"hello"]


def test_few_heads_are_kept(connection):
    for i in range(200):
        ask(connection, HEAD.replace(b"now", b"%d" % i) % 2 + b"{}")
    assert len(connection._known._heads) <= 64


@pytest.mark.parametrize("how", ["lost", "unasked"])
async def test_a_connection_that_is_gone_before_it_is_used_says_so(connection, how):
    if how == "lost":
        connection.connection_lost(None)
    else:
        connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    answer = Answer(connection)
    connection.send(b"", answer)
    assert answer.told == [], "not before the sender has returned"
    await asyncio.sleep(0)
    assert len(answer.told) == 1
    assert isinstance(answer.told[0], ConnectionError)


async def test_whoever_leaves_a_connection_that_is_gone_hears_no_more(connection):
    connection.connection_lost(None)
    answer = Answer(connection)
    connection.send(b"", answer)
    connection.abort()
    await asyncio.sleep(0)
    assert answer.told == []
