"""An image's properties: what each may say. Checked whenever an image is made or changed, so that
a wrong one is refused before anybody builds a server from it. Unknown ones are kept as they are."""

import unicodedata
from collections.abc import Iterable, Mapping

from app.runs.boot_properties import check_boot_properties
from app.runs.hardware import hardware_of
from tasks.errors import RequestError

MAX_PROPERTIES = 128
MAX_NAME = 255
MAX_VALUE = 65_535

#: A property's text may have lines and columns.
_LAYOUT = dict.fromkeys(map(ord, "\t\n\r"))


def check_words(name: str, tags: Iterable[str]) -> None:
    """Raise RequestError if a name or a tag would harm a terminal that shows it."""
    for field, words in (("name", (name,)), ("tags", tags)):
        if not all(map(_is_plain, words)):
            raise RequestError(f"{field}: must be without control characters.")


def check_properties(properties: Mapping[str, str]) -> None:
    """Raise RequestError, naming the property, for what cannot be kept or carried out."""
    if len(properties) > MAX_PROPERTIES:
        raise RequestError(f"More than {MAX_PROPERTIES} properties.")
    for name, value in properties.items():
        _check_form(name, value)
    check_boot_properties(properties)
    hardware_of(properties)


def _check_form(name: str, value: object) -> None:
    shown = name[:60] if _is_plain(name) else f"{name!r:.60}"
    if not 1 <= len(name) <= MAX_NAME:
        raise RequestError(f"{shown}: must have a name of 1 to {MAX_NAME} characters.")
    if not _is_plain(name):
        raise RequestError(f"{shown}: must have a name without control characters.")
    if not isinstance(value, str) or len(value) > MAX_VALUE:
        raise RequestError(f"{shown}: must be text of at most {MAX_VALUE} characters.")
    if not _is_plain(value.translate(_LAYOUT)):
        raise RequestError(f"{shown}: must be without control characters.")


def _is_plain(text: str) -> bool:
    """Say whether there is no control character (Unicode's Cc)."""
    return not any(unicodedata.category(character) == "Cc" for character in text)
