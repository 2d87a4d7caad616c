"""A completion that came in one piece: what it says of tokens, and its edit. Pure bytes, no I/O."""

from app.dataplane.completions.stream import THINK_END
from app.dataplane.event_stream import decoded
from app.dataplane.usage import add_member, read_usage, routing_member
from app.dataplane.whole_answer import WholeAnswer


def read_completion(raw: bytes, routing: bytes) -> WholeAnswer:
    """The answer with its routing object; thinking that stands in the raw text is told by the tag that closes it."""
    usage = read_usage(raw)
    thought = 0
    if usage is not None and THINK_END in raw:
        before = after = 0
        data = decoded(raw)
        choices = data.get("choices") if isinstance(data, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            text = choice.get("text") if isinstance(choice, dict) else None
            if isinstance(text, str):
                thinking, tag, answer = text.rpartition(THINK_END.decode())
                before += len(thinking) + len(tag)
                after += len(answer)
        thought = usage.reasoning_tokens(before, max(1, after))
    return WholeAnswer(add_member(raw, routing_member(routing)) if routing else raw, usage, thought)
