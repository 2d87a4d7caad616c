"""The observer that the settings ask for. Knows how its parts fit together; imports OpenTelemetry only if wanted."""

from app.config_file import ConfigError
from app.metrics.instruments import Counters
from app.observing.access_log import AccessLogFile
from app.observing.finished import Over
from app.observing.observer import Observer
from app.observing.outbox import Outbox
from app.observing.settings import AccessLog, Tracing


def observer_for(access_log: AccessLog, tracing: Tracing, dropped: Counters) -> Observer | None:
    """None where neither log nor traces are wanted. `dropped` counts by sink. Raises ConfigError."""
    lines: Outbox[Over] | None = None
    traces: Outbox[Over] | None = None
    if access_log.path:
        lines = Outbox("access log", AccessLogFile(access_log.path).write, dropped("access_log"))
    if tracing.endpoint:
        try:
            from app.observing.spans import SpanExporter
        except ImportError as error:
            raise ConfigError("tracing.endpoint: needs the extra `otel`: pip install 'thinkgate[otel]'") from error
        traces = Outbox("traces", SpanExporter(tracing).export, dropped("traces"))
    if lines is None and traces is None:
        return None
    return Observer(lines, traces, tracing.sample)
