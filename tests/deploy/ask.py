"""Send one chat request and print as JSON what came and when; run in another network with nsenter.

python tests/deploy/ask.py URL KEY '{"model": "auto", …}'
"""

import json
import sys
import time

import httpx


def main(url: str, key: str, body: str) -> None:
    """Print status, headers, pieces with their arrival in seconds, and the error that cut them off, if one did."""
    begun, pieces, error = time.monotonic(), [], ""
    with httpx.stream(
        "POST", f"{url}/v1/chat/completions", content=body, headers={"authorization": f"Bearer {key}"}, timeout=60
    ) as answer:
        print("begun", flush=True)
        try:
            for text in answer.iter_text():
                pieces.append((time.monotonic() - begun, text))
        except httpx.TransportError as cut:
            error = repr(cut)
    facts = {"status": answer.status_code, "headers": dict(answer.headers), "pieces": pieces, "error": error}
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
