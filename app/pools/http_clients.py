"""httpx clients for everything that asks replicas beside the data plane. Knows TLS contexts; knows no path."""

import ssl
from typing import Protocol

import httpx


class Encrypted(Protocol):
    """A pool or a replica: the TLS context to reach it with, or None."""

    tls: ssl.SSLContext | None


_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading the system's certificates for plain HTTP costs 20 ms


class HttpClients:
    """One client a TLS context; with a `transport` all use that."""

    def __init__(self, timeout_s: float | httpx.Timeout, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._timeout_s = timeout_s
        self._transport = transport
        self._clients: dict[ssl.SSLContext | None, httpx.AsyncClient] = {}

    def of(self, target: Encrypted) -> httpx.AsyncClient:
        """The client for a pool's replicas, or for one of them."""
        context = target.tls if self._transport is None else None
        client = self._clients.get(context)
        if client is None:
            client = self._clients[context] = httpx.AsyncClient(
                timeout=self._timeout_s, transport=self._transport, trust_env=False, verify=context or _NO_TLS
            )
        return client

    async def close(self) -> None:
        """Close all connections."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()
