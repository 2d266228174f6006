"""Host names from names, and name filters that no client can make slow."""

import time

import pytest

from app.services.server_names import hostname_of, numbered
from app.services.servers import like_pattern


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("web", "web"),
        ("Web 1", "web-1"),
        ("my_web.example.org", "my-web-example-org"),
        ("-edge-", "edge"),
        ("Ünïcode", "n-code"),
        ("a" * 80, "a" * 63),
        ("a" * 62 + "--b", "a" * 62),
        ("日本", "server-some-id"),
        ("...", "server-some-id"),
    ],
)
def test_hostname(name: str, hostname: str) -> None:
    assert hostname_of(name, "some-id") == hostname


def test_several_are_numbered() -> None:
    assert numbered("web", 1) == ["web"]
    assert numbered("web", 2) == ["web-1", "web-2"]


@pytest.mark.parametrize(
    ("expression", "pattern"),
    [
        ("web", "%web%"),
        ("^web", "web%"),
        ("web$", "%web"),
        ("^web$", "web"),
        ("w.b", "%w_b%"),
        ("w.*b", "%w%b%"),
        (r"a\.b", "%a.b%"),
        (r"a\$", "%a$%"),
        ("50%_", r"%50\%\_%"),
        ("\\", r"%\\%"),
        ("(a+)+", "%(a+)+%"),
    ],
)
def test_like_pattern(expression: str, pattern: str) -> None:
    assert like_pattern(expression) == pattern


def test_no_expression_is_slow() -> None:
    began = time.perf_counter()

    like_pattern("(a+)+" * 10_000 + "$")

    assert time.perf_counter() - began < 1
