"""Every failure a client can see, and its wire body. Knows statuses and shapes; knows no route.

GatewayError
├── BadRequest            400   the body or a header cannot be honoured; `param` names it
├── InvalidHttp           400   the request is not HTTP
├── Unauthorized          401
├── Forbidden             403   the key is good, but not for this
├── ModelNotFound         404
├── ResponseNotFound      404   no response of this id that the tenant's requests have made
├── NotFound              404   unknown path
├── MethodNotAllowed      405
├── RequestTimeout        408   the client did not send its body in time
├── TooManyFeedbacks      409   the decision has as much feedback as it may have
├── TooLarge              413
├── IdempotencyKeyReused  422   the idempotency key was used for something else
├── HeadersTooLarge       431
├── RateLimited           429   the key or its tenant has used up what it may; `Retry-After` says until when
├── AuthUnavailable       503   a token's key is not known yet, or its issuer cannot be reached
├── LogUnavailable        503   the decision log cannot be used now
├── PoolFull              503   the pool has no place, nor its queue; `Retry-After` is sent
├── Stopping              503   the gateway is about to end; another one may answer
├── UpstreamBusy          503   every replica is unreachable or full; `Retry-After` is sent
├── UpstreamFailed        502   the backend broke the connection or spoke nonsense
├── UpstreamTimeout       504   no first byte, or silence, for longer than the setting allows
└── UpstreamError         any   the backend's own error, status and message kept
"""

import msgspec

_encode = msgspec.json.Encoder().encode


class GatewayError(Exception):
    """Base: `status`, OpenAI's `type` and `code`; `retry_after_s` becomes a `Retry-After` header."""

    status = 500
    type = "server_error"
    code: str | int | None = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def body(self) -> bytes:
        """The OpenAI error object as JSON."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return _encode({"error": error})

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that go with the error, the content type among them."""
        out = [(b"content-type", b"application/json")]
        if self.retry_after_s is not None:
            out.append((b"retry-after", b"%d" % self.retry_after_s))
        return out


class BadRequest(GatewayError):
    status, type, code = 400, "invalid_request_error", "invalid_request"


class InvalidHttp(GatewayError):
    status, type, code = 400, "invalid_request_error", "invalid_http"


class Unauthorized(GatewayError):
    status, type, code = 401, "authentication_error", "invalid_api_key"

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), (b"www-authenticate", b"Bearer")]


class Forbidden(GatewayError):
    status, type, code = 403, "permission_error", "not_allowed"


class ModelNotFound(GatewayError):
    status, type, code = 404, "invalid_request_error", "model_not_found"


class ResponseNotFound(GatewayError):
    status, type, code = 404, "invalid_request_error", "response_not_found"


class NotFound(GatewayError):
    status, type, code = 404, "invalid_request_error", "not_found"


class MethodNotAllowed(GatewayError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [*super().headers(), (b"allow", self.allow.encode())]


class RequestTimeout(GatewayError):
    status, type, code = 408, "invalid_request_error", "request_timeout"


class TooManyFeedbacks(GatewayError):
    status, type, code = 409, "invalid_request_error", "too_much_feedback"


class IdempotencyKeyReused(GatewayError):
    status, type, code = 422, "invalid_request_error", "idempotency_key_reused"


class TooLarge(GatewayError):
    status, type, code = 413, "invalid_request_error", "request_too_large"


class HeadersTooLarge(GatewayError):
    status, type, code = 431, "invalid_request_error", "headers_too_large"


class RateLimited(GatewayError):
    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class AuthUnavailable(GatewayError):
    status, type, code = 503, "server_error", "auth_unavailable"


class LogUnavailable(GatewayError):
    status, type, code = 503, "server_error", "decisions_unavailable"


class PoolFull(GatewayError):
    status, type, code = 503, "server_error", "pool_full"


class Stopping(GatewayError):
    status, type, code = 503, "server_error", "gateway_stopping"


class UpstreamBusy(GatewayError):
    status, type, code = 503, "server_error", "upstream_unavailable"


class UpstreamFailed(GatewayError):
    status, type, code = 502, "server_error", "upstream_failed"


class UpstreamTimeout(GatewayError):
    status, type, code = 504, "server_error", "upstream_timeout"


class UpstreamError(GatewayError):
    """The backend's own error: its status, and its message in OpenAI's shape whatever shape it came in."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "server_error",
        param: str | None = None,
        code: str | int | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.status = status
        self.type = type
        self.code = status if code is None else code

    @classmethod
    def from_event(cls, payload: bytes) -> "GatewayError":
        """An error that came as an event of a stream whose status was 200; its `code` may tell the status."""
        try:
            error = msgspec.json.decode(payload)["error"]
            code = error["code"]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            code = None
        return cls.from_answer(code if isinstance(code, int) and 400 <= code < 600 else 502, payload)

    @classmethod
    def from_answer(cls, status: int, body: bytes, retry_after: bytes = b"") -> "GatewayError":
        """Read vLLM's shapes: `{"error": {…}}`, `{"error": "text"}`, `{"detail": …}`, or anything else."""
        if status in (401, 403):
            # Our key, not the client's, was refused: the client cannot mend that.
            return UpstreamFailed("The backend refused the gateway's credentials.")
        try:
            data = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            data = None
        error = data.get("error", data.get("detail")) if isinstance(data, dict) else None
        fields = error if isinstance(error, dict) else {}
        message = fields.get("message", error)
        if not isinstance(message, str) or not message:
            message = f"The backend answered with status {status}."
        type_, param, code = fields.get("type"), fields.get("param"), fields.get("code")
        default_type = "invalid_request_error" if status < 500 else "server_error"
        wait = int(retry_after) if retry_after.isdigit() else (1 if status in (429, 503) else None)
        return cls(
            status,
            message,
            type=type_ if isinstance(type_, str) else default_type,
            param=param if isinstance(param, str) else None,
            code=code if isinstance(code, str | int) else None,
            retry_after_s=wait,
        )
