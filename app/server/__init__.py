"""The listening side: sockets, uvicorn, and the direct lane of the data plane."""

from app.server.serving import check_exposure, open_listeners, serve

__all__ = ["check_exposure", "open_listeners", "serve"]
