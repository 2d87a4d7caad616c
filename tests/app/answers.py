"""What tests of the whole gateway ask of answers, and the keys that they use."""

import json

AUTH = {
    "keys": [
        {"key": "key-a", "tenant": "a"},
        {"key": "key-b", "tenant": "b", "profiles": ["research"]},
        {"key": "key-any", "profiles": ["*"]},
    ]
}


def sse(body):
    """The JSON payloads of a stream's body, which must end in [DONE]."""
    payloads = [e.removeprefix(b"data: ") for e in body[:-2].split(b"\n\n")]
    assert payloads[-1] == b"[DONE]"
    return [json.loads(p) for p in payloads[:-1]]


def is_openai_error(answer, status):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error
