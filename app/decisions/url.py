"""`decisions.url`: what it may say, and which store it means. Knows stores by name; knows no SQL."""

from app.decisions.store import DecisionStore

SUPPORTED = "must be sqlite:///FILE or postgresql://USER@HOST/DATABASE, or empty for no decision log"


class StoreMissing(Exception):
    """The store's driver is not installed."""


def check_url(url: str) -> None:
    """Raises ValueError for what names no store."""
    scheme, separator, rest = url.partition("://")
    if scheme.lower() in ("postgresql", "postgres") and separator:
        if not rest.strip("/") or not rest.isprintable():
            raise ValueError("must name a server and a database: postgresql://thinkgate@db.example/thinkgate")
    else:
        sqlite_path(url)


def store_for(url: str) -> DecisionStore:
    """The store that a checked URL names; it is opened later. Raises StoreMissing or ValueError."""
    if url.partition("://")[0].lower() == "sqlite":
        from app.decisions.sqlite import SqliteStore

        return SqliteStore(sqlite_path(url))
    try:
        from app.decisions.postgres import PostgresStore
    except ImportError as error:
        raise StoreMissing("decisions in PostgreSQL need a driver: pip install 'thinkgate[postgres]'") from error
    return PostgresStore(url)


def sqlite_path(url: str) -> str:
    """The file that the URL names, relative to the working directory or absolute (four slashes). Raises ValueError."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() != "sqlite":
        # Only the scheme is repeated: the rest may hold a password.
        named = f"`{scheme}://…`" if separator else "this"
        raise ValueError(f"{SUPPORTED}; {named} is not supported")
    path = rest.removeprefix("/")
    if not rest.startswith("/") or not path or path.endswith("/"):
        raise ValueError("must name a file: sqlite:///thinkgate.db, or sqlite:////var/lib/thinkgate.db from the root")
    if path == ":memory:" or not path.isprintable():
        raise ValueError("must name a file; memory keeps nothing")
    return path
