"""W3C's trace context, read and written."""

import pytest

from app.dataplane.request_head import RequestHead
from app.observing.trace import Trace, new_span_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f" 00-{TRACE}-{SPAN}-00 ", True),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"01-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes", True),  # a later version may say more
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE[1:]}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}-1", False),
        (f"00-{TRACE}-{SPAN}", False),
        (f"00-{TRACE}-{SPAN}-01\x80", False),
        ("", False),
    ],
)
def test_a_parent_is_taken_or_the_trace_begins_here(header: str, taken: bool) -> None:
    trace = Trace(RequestHead("/", [(b"traceparent", header.encode("latin-1"))]), sample=1.0)
    assert (trace.parent == SPAN) is taken
    assert (trace.trace_id == TRACE) is taken
    assert len(trace.trace_id) == 32
    assert int(trace.trace_id, 16)
    assert trace.span_id != trace.parent


def test_the_sample_is_a_share_of_the_traces_and_every_process_takes_the_same() -> None:
    head = RequestHead("/", [])
    traces = [Trace(head, sample=0.25) for _ in range(4000)]
    kept = [trace for trace in traces if trace.sampled]
    assert 700 < len(kept) < 1300  # 1000; 0.25 ± 11 standard deviations
    assert all(int(trace.trace_id[-14:], 16) < 0.25 * 2**56 for trace in kept)


def test_ids_are_told_apart() -> None:
    assert len({new_span_id() for _ in range(1000)}) == 1000
    assert all(len(new_span_id()) == 16 for _ in range(100))
