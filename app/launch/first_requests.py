"""Ask the gateway a few things and show where they went. Knows only the public API."""

import json
import time
from dataclasses import dataclass

import httpx

from app.launch.console import Console

# Both within reach of the embedded miniature models, and of any others.
EASY_AND_HARD = (
    "What is the capital of France?",
    "Work from left to right and keep only the last digit: 7+5*3-4*7+8*3",
)
_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one prompt; `mode` is empty where the gateway answered with an error."""

    mode: str
    why: str
    model: str
    thought: str
    text: str
    seconds: float

    def lines(self) -> list[str]:
        """For the terminal."""
        shown = [f"→ {self.mode or 'error'}{f' by {self.model}' if self.model else ''}, {self.seconds:.1f} s{self.why}"]
        if self.thought:
            shown.append(f"  thought: {_short(self.thought)}")
        return [*shown, f"  answer:  {_short(self.text)}"]


async def ask(client: httpx.AsyncClient, url: str, prompt: str, key: str | None, console: Console) -> Answer:
    """One streamed chat completion of `auto`, with progress."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "stream": True}
    started = time.monotonic()
    thought = text = model = ""
    events = 0
    timeout = httpx.Timeout(None, connect=10)
    async with client.stream(
        "POST", f"{url}/v1/chat/completions", json=body, headers=headers, timeout=timeout
    ) as response:
        if response.status_code != 200:
            raw = (await response.aread()).decode(errors="replace")
            return Answer("", f" (HTTP {response.status_code})", "", "", raw, time.monotonic() - started)
        async for line in response.aiter_lines():
            if not line.startswith("data:") or line.endswith("[DONE]"):
                continue
            event = json.loads(line[5:])
            if "error" in event:
                text += f" [error: {event['error'].get('message')}]"
            model = event.get("model") or model
            for choice in event.get("choices", []):
                delta = choice.get("delta", {})
                thought += delta.get("reasoning") or delta.get("reasoning_content") or ""
                text += delta.get("content") or ""
            events += 1
            seconds = time.monotonic() - started
            if seconds > 2:
                state = "answering" if text else "thinking"
                console.status(state, f"  {state}: {seconds:.0f} s, {events} chunks")
    return Answer(
        response.headers.get("x-thinkgate-mode", "?"),
        _why(response.headers),
        model,
        thought,
        text,
        time.monotonic() - started,
    )


def _why(headers: httpx.Headers) -> str:
    said = headers.get("x-thinkgate-reason", "")
    if score := headers.get("x-thinkgate-score"):
        judge, threshold = headers.get("x-thinkgate-judge", "judge"), headers.get("x-thinkgate-threshold", "?")
        said += f": {judge} scored {score}, threshold {threshold}"
    return f" ({said})" if said else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN // 2]} … {line[-_SHOWN // 2 :]}"
