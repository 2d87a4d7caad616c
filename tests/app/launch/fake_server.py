"""A stand-in for an engine: one process with one behaviour.

fake_server.py PORT BEHAVIOUR [FILE]
fake_server.py serve MODEL --port=N …       as vLLM is called; the behaviour is the model directory's name
"""

import http.server
import os
import signal
import subprocess
import sys
import time


class Health(http.server.BaseHTTPRequestHandler):
    sick_file = ""  # unhealthy while this exists

    def do_GET(self) -> None:
        self.send_response(503 if self.sick_file and os.path.exists(self.sick_file) else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def listen(port: int) -> None:
    print("Application startup complete.", flush=True)
    http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()


def main(port: int, behaviour: str, file: str) -> None:
    print(f"INFO 01-01 00:00:00 [fake.py:1] behaving: {behaviour}", flush=True)
    if behaviour == "crash":
        sys.exit("CUDA out of memory: boom")
    if behaviour == "crash-twice":
        with open(file, "a") as starts:
            starts.write("x")
        if os.path.getsize(file) <= 2:
            sys.exit("not yet")
    if behaviour == "usage":
        sys.exit(2)
    if behaviour == "silent":
        time.sleep(600)
    if behaviour == "mortal" and os.path.exists(file):
        sys.exit("it is no more")
    if behaviour in ("sick", "mortal"):
        Health.sick_file = file
    if behaviour == "tree":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # An engine core in our group, a worker in a session of its own: both ignore SIGTERM as their parent does.
        children = [
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=apart)
            for apart in (False, True)
        ]
        with open(file, "w") as pids:
            pids.write(" ".join(str(pid) for pid in (os.getpid(), *(child.pid for child in children))))
    listen(port)


if sys.argv[1] == "serve":
    given = dict(word.lstrip("-").split("=", 1) for word in sys.argv[3:] if "=" in word)
    main(int(given["port"]), os.path.basename(sys.argv[2]), os.path.join(sys.argv[2], "file"))
main(int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "")
