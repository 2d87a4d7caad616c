"""A record's words."""

import gc
import sys

import pytest

from app.decisions.sqlite import SqliteStore
from app.decisions.url import StoreMissing, check_url, sqlite_path, store_for
from router.mode import Mode
from tests.app.decisions.conftest import record


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"score": 0.75, "threshold": 0.5}, "score 0.7500 >= threshold 0.5"),
        ({"score": 0.25, "threshold": 0.5}, "score 0.2500 < threshold 0.5"),
        ({"score": 0.25, "threshold": 0.5, "mode": Mode.THINKING}, "score 0.2500 < threshold 0.5"),  # a fallback
        ({"because": "the client's word"}, "the client's word"),
        ({"score": None, "threshold": None}, ""),
    ],
)
def test_a_record_says_why(changes, because):
    assert record(**changes).explained().because == because


def test_records_are_no_work_for_the_collector():
    assert not gc.is_tracked(record())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///thinkgate.db", "thinkgate.db"),
        ("sqlite:///var/x.db", "var/x.db"),
        ("sqlite:////var/lib/x.db", "/var/lib/x.db"),
        ("SQLite:///x.db", "x.db"),
    ],
)
def test_a_url_names_a_file(url, path):
    assert sqlite_path(url) == path


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://u:secret@h/db", "`postgresql://…` is not supported"),
        ("thinkgate.db", "must be sqlite:///FILE"),
        ("sqlite:thinkgate.db", "must be sqlite:///FILE"),
        ("sqlite://", "must name a file"),
        ("sqlite:///", "must name a file"),
        ("sqlite://thinkgate.db", "must name a file"),
        ("sqlite:///dir/", "must name a file"),
        ("sqlite:///:memory:", "memory keeps nothing"),
        ("sqlite:///a\0b", "must name a file"),
    ],
)
def test_other_urls_are_refused(url, message):
    with pytest.raises(ValueError, match=message) as refused:
        sqlite_path(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["postgresql://h/d", "postgres://u:p@h:5/d?sslmode=require", "postgresql:///d", "sqlite:///x"]
)
def test_a_url_is_checked_without_a_driver(url, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    check_url(url)


@pytest.mark.parametrize(
    "url", ["postgresql://", "postgresql:///", "postgresql://h/d\n", "postgresql:h/d", "mysql://h/d"]
)
def test_what_names_no_store_is_refused(url):
    with pytest.raises(ValueError, match="must"):
        check_url(url)


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for module in [name for name in sys.modules if name.startswith("app.decisions.") and "sqlite" not in name]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(StoreMissing, match=r"thinkgate\[postgres\]"):
        store_for("postgresql://h/d")
    assert isinstance(store_for("sqlite:///x"), SqliteStore)
