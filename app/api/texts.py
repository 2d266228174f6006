"""Text that a client sends, before anything is made of it."""

from typing import Any

from tasks.errors import RequestError


def check_text(value: Any) -> None:
    """Raise RequestError if a text, however deep inside, has what no database keeps: the NUL
    character, or half of a pair of surrogates."""
    if isinstance(value, str):
        if "\0" in value or not _is_whole(value):
            raise RequestError(f"Invalid character in {value[:40]!r}.")
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_text(key)
            check_text(inner)
    elif isinstance(value, list):
        for inner in value:
            check_text(inner)


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
