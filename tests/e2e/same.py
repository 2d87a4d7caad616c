"""An answer without what may differ between the gateway and the backend. Knows every documented difference.

docs/api.md names them under "What is different from vLLM itself"; nothing else may be taken out here.
"""

import json
import re
from typing import Any

# Made anew for every answer, by vLLM too.
_RANDOM = frozenset(("id", "created", "created_at", "signature", "item_id", "call_id", "tool_call_id", "request_id"))
_ADDED = frozenset(("routing", "reasoning_content"))
END_OF_TURN = "<|im_end|>"
_BLANK_LINES = re.compile(r"\A(?:[ \t]*\r?\n)+")
_DELTAS = ("content", "reasoning", "text", "thinking", "partial_json", "delta", "arguments")


def same_whole(raw: bytes) -> Any:
    """A JSON answer, to be compared."""
    data = _without(json.loads(raw))
    for choice in data.get("choices") or [] if isinstance(data, dict) else []:
        message = choice.get("message")
        if message and message.get("reasoning") and message.get("content"):
            message["content"] = _BLANK_LINES.sub("", message["content"])
    return data


def same_stream(raw: bytes) -> list[Any]:
    """The events of a stream, to be compared: tokens that came in one event or in several are the same text."""
    assert raw.endswith(b"\n\n")
    events = []
    for event in raw[:-2].split(b"\n\n"):
        lines = event.split(b"\n")
        data = b"".join(line[6:] for line in lines if line.startswith(b"data: "))
        name = next((line[7:].decode() for line in lines if line.startswith(b"event: ")), "")
        events.append([name, "[DONE]" if data == b"[DONE]" else _without(json.loads(data))])
    ids = _token_ids(events)
    pieces = [piece for event in events for piece in _pieces(event)]
    said = [piece for piece in pieces if not _says_nothing(piece[1])]
    return [*_without_blank_lines(_merged(said)), ["token ids", ids]]


def _token_ids(events: list[Any]) -> dict[int, list[int]]:
    """All token ids by choice, taken out of the events: a tag's may stand in a chunk of its own or in its neighbour."""
    ids: dict[int, list[int]] = {}
    for _, data in events:
        for choice in (data.get("choices") or []) if isinstance(data, dict) else []:
            if "token_ids" in choice:
                ids.setdefault(choice["index"], []).extend(choice.pop("token_ids") or [])
    return ids


def _says_nothing(data: Any) -> bool:
    """Half a character alone, or a tag."""
    choices = data.get("choices") if isinstance(data, dict) else None
    return bool(choices) and all(
        (c.get("delta") in ({}, {"content": ""}) or ("delta" not in c and c.get("text") == ""))
        and not (c.get("finish_reason") or c.get("logprobs") or c.get("prompt_token_ids"))
        for c in choices
    )


def _pieces(event: Any) -> list[Any]:
    """A chunk with the last of the thinking and the first of the answer as two."""
    name, data = event
    choices = data.get("choices") if isinstance(data, dict) else None
    delta = choices[0].get("delta") if choices else None
    if not isinstance(delta, dict) or not delta.get("reasoning") or delta.get("content") is None:
        return [event]
    first = json.loads(json.dumps(data))
    first["choices"][0] |= {"delta": {"reasoning": delta.pop("reasoning")}, "finish_reason": None}
    return [[name, first], event]


def _without_blank_lines(events: list[Any]) -> list[Any]:
    """The events without the blank lines between thinking and answer, and without those that held nothing else."""
    out: list[Any] = []
    thinks: set[Any] = set()
    for event in events:
        data = event[1]
        for choice in (data.get("choices") or []) if isinstance(data, dict) else []:
            delta, index = choice.get("delta"), choice.get("index")
            if isinstance(delta, dict) and delta.get("reasoning"):
                thinks.add(index)
            if isinstance(delta, dict) and delta.get("content") and index in thinks:
                thinks.discard(index)
                delta["content"] = _BLANK_LINES.sub("", delta["content"])
                if not delta["content"] and not any(_lists(data)) and not _ends(data):
                    break
        else:
            out.append(event)
    return out


def is_error(path: str, raw: bytes) -> dict[str, Any]:
    """The error of an answer; fails where its shape is not that of the API."""
    data = json.loads(raw)
    error: dict[str, Any] = data["error"]
    if path.startswith("/v1/messages"):
        assert set(data) == {"type", "error"}
        assert data["type"] == "error"
        assert set(error) == {"type", "message"}
    else:
        assert set(data) == {"error"}
        assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    return error


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        out = {k: _without(v) for k, v in value.items() if k not in _RANDOM and k not in _ADDED}
        if "sequence_number" in out:  # a stream's events are merged below, and so their numbers
            assert isinstance(out.pop("sequence_number"), int)
        return out
    if isinstance(value, float):  # log-probabilities: the order of sums is vLLM's own affair
        return round(value, 3)
    return [_without(v) for v in value] if isinstance(value, list) else value


def _merged(events: list[Any]) -> list[Any]:
    """Neighbours that only differ in their piece of text as one; several choices one after the other."""
    merged: list[Any] = []
    run: Any = None
    for event in sorted(events, key=_choice):
        kind, found = _kind(event), _text_of(event[1])
        goes_on = run is not None and kind is not None and kind == _kind(run)
        if found is None or not (goes_on or found[0][found[1]] or any(_lists(event[1]))):
            if found is not None and _ends(event[1]):
                del found[0][found[1]]  # no text is no text, whether it is said or not
            merged.append(event)
            run = None
            continue
        if not goes_on:
            run = _emptied(event)
            merged.append(run)
        _append(run[1], event[1], found)  # perhaps half a character, whose text comes with the next piece
        if _ends(event[1]):  # the last piece may come with the reason why it is the last, or before it
            del found[0][found[1]]
            merged.append(event)
            run = None
    return merged


def _choice(event: Any) -> int:
    data = event[1]
    choices = data.get("choices") if isinstance(data, dict) else None
    return int(choices[0].get("index", 0)) if choices else 0 if isinstance(data, dict) and choices is None else 1_000


def _kind(event: Any) -> Any:
    """What makes neighbours mergeable: the same event but for its text. None: it stands alone."""
    name, data = event
    if data == "[DONE]" or (found := _text_of(data)) is None:
        return None
    return name, found[1], data.get("index"), data.get("output_index"), (data.get("choices") or [{}])[0].get("index")


def _ends(data: dict[str, Any]) -> bool:
    return bool(data.get("choices")) and data["choices"][0].get("finish_reason") is not None


def _emptied(event: Any) -> Any:
    """The event as the first of a run: no text yet, and nothing that only its last one tells."""
    first = json.loads(json.dumps(event))
    data = first[1]
    for name in ("usage", "system_fingerprint"):  # running totals, and what the last one tells
        data.pop(name, None)
    holder, key = _text_of(data) or ({}, "")
    holder[key] = ""
    for part in _lists(data):
        part.clear()
    for choice in data.get("choices") or []:
        choice |= {"finish_reason": None, "stop_reason": None}
    return first


def _append(run: dict[str, Any], data: dict[str, Any], found: tuple[dict[str, Any], str]) -> None:
    """Move an event's text, and what goes with each token, to the run that it belongs to."""
    target = _text_of(run)
    assert target is not None
    holder, key = found
    target[0][target[1]] += holder[key]
    holder[key] = ""
    for into, part in zip(_lists(run), _lists(data), strict=True):
        # The end of the turn is told among the tokens only where it came together with the last of them.
        into += [entry for entry in part if not (isinstance(entry, dict) and entry.get("token") == END_OF_TURN)]
        part.clear()
    for choice in data.get("choices") or []:
        if "prompt_token_ids" in choice:  # the first one tells them, which may be the last one too
            choice["prompt_token_ids"] = None


def _text_of(data: Any) -> tuple[dict[str, Any], str] | None:
    """The object that holds an event's piece of text, and its key there."""
    if not isinstance(data, dict):
        return None
    choices = data.get("choices")
    holders = [data.get("delta"), data] if choices is None else [c.get("delta", c) for c in choices[:1]]
    for holder in holders:
        for key in _DELTAS:
            if (
                isinstance(holder, dict)
                and isinstance(holder.get(key), str)
                and data.get("type", "delta").find("done") < 0
            ):
                return holder, key
    return None


def _lists(data: dict[str, Any]) -> list[list[Any]]:
    """What comes token by token beside the text."""
    found = []
    for choice in data.get("choices") or [data]:
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, list):
            found.append(logprobs)
        elif isinstance(logprobs, dict):
            found += [value for _, value in sorted(logprobs.items()) if isinstance(value, list)]
    return found
