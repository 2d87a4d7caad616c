"""A real receiver of OTLP over HTTP: a small server that decodes what the exporter sends."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Spans by name, as they came; `status` is what it answers, `requests` the headers of each request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.requests: list[dict[str, str]] = []
        self.spans: list[dict[str, Any]] = []
        self.resource: dict[str, Any] = {}

    def take(self, body: bytes) -> None:
        message = ExportTraceServiceRequest()
        message.ParseFromString(body)
        for group in MessageToDict(message, preserving_proto_field_name=True)["resource_spans"]:
            self.resource = plain(group["resource"]["attributes"])
            for scope in group["scope_spans"]:
                self.spans += [{**span, "attributes": plain(span.get("attributes", []))} for span in scope["spans"]]

    def named(self, name: str) -> dict[str, Any]:
        """The one span of that name."""
        (found,) = [span for span in self.spans if span["name"] == name]
        return found


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    """OTLP's typed values as plain ones."""
    out: dict[str, Any] = {}
    for attribute in attributes:
        ((kind, value),) = attribute["value"].items()
        out[attribute["key"]] = int(value) if kind == "int_value" else value
    return out


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.requests.append({name.lower(): value for name, value in self.headers.items()})
            if found.status == 200:
                found.take(body)
            self.send_response(found.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()
