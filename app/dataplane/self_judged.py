"""The exchange's share of answers whose tags are read: the stream to relay with, and the verdict when it comes.

Knows plans and streams; the tags are router/tags.py's, the chunks tagged_stream.py's.
"""

from collections.abc import Callable

from app.dataplane.chat_stream import ChatStream
from app.dataplane.plan import Plan
from app.dataplane.second_answer import may_be_rescued
from app.dataplane.special import Special
from app.dataplane.tagged_answer import read_tags
from app.dataplane.tagged_stream import TaggedStream
from app.dataplane.unanswered import UnansweredStream
from router.tags import TagReader

Judged = Callable[[TagReader], Plan]
"""Told once of the verdict of a model that judges itself; gives the plan with that verdict in it."""


def routing_of(plan: Plan) -> bytes:
    """The `routing` object for an answer's body; empty where the profile wants none there."""
    return plan.routing.json() if plan.profile.metadata != "headers" else b""


def special_stream(plan: Plan, special: Special, judged: Judged) -> ChatStream:
    """The stream for an answer that needs more than the usual relay; `judged` is told if the backend judges itself."""
    watches = may_be_rescued(plan)
    if not special.family.tags:
        return UnansweredStream(
            watches=watches,
            routing=routing_of(plan),
            reasoning=plan.profile.reasoning,
            show_usage=plan.request.wants_usage,
            choices=plan.request.choices,
        )
    waits = special.told is None

    def decided(reader: TagReader) -> None:
        if waits:
            stream.reroute(routing_of(judged(reader)))

    stream = TaggedStream(
        special.reader,
        decided,
        waits=waits,
        watches=watches,
        routing=routing_of(plan),
        reasoning=plan.profile.reasoning,
        show_usage=plan.request.wants_usage,
        choices=plan.request.choices,
    )
    return stream


def untagged(raw: bytes, special: Special, judged: Judged) -> bytes:
    """An answer in one piece, its tags read; `judged` is called if the backend judged itself."""
    if not special.family.tags:
        return raw
    body, reader = read_tags(raw, special.reader)
    if reader is not None and special.told is None:
        judged(reader)
    return body
