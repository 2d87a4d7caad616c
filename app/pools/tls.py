"""TLS contexts for a pool's replicas. Knows certificates' files; knows no connection."""

import ssl

from app.pools.settings import Pool


def context_for(settings: Pool) -> ssl.SSLContext | None:
    """The context for a pool's `https` addresses, or None where it has none. Raises OSError, which names the file."""
    if not any(url.startswith("https:") for url in settings.replicas):
        return None
    tls = settings.tls
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
    except OSError as error:
        raise OSError(f"tls.ca: {tls.ca} cannot be used: {error.strerror or error}") from error
    if tls.certificate:
        try:
            context.load_cert_chain(tls.certificate, tls.key or None)
        except OSError as error:
            raise OSError(f"tls.certificate: {tls.certificate} cannot be used: {error.strerror or error}") from error
    return context
