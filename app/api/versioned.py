"""Schemas whose fields depend on the microversion of the request: outside of its versions a field
is unknown in what is sent, and absent from what is answered.

Handlers give an answer's fields as if all were there. In the API's document every field is there,
with its versions, and none of those is required.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar

from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema, ValidationError, fields

from app.api import microversions
from app.api.gates import ALWAYS, Gate, Span

F = TypeVar("F", bound=fields.Field[Any])
Fields = dict[str, fields.Field[Any]]

#: Where a field's metadata keeps its versions; the document does not show this key itself.
_SPAN = "span"


class Versioned(Schema):
    """A schema that has, for each request, the fields of its version."""

    def closed(self) -> set[str]:
        """Return the keys of fields that are not there for this request."""
        return {
            field.data_key or name
            for name, field in self.fields.items()
            if not span_of(field).is_open
        }

    def refuse_unknown(self, given: Mapping[str, Any]) -> None:
        """Raise ValidationError for a key that is not there: where a version ends leaving unknown
        parameters out."""
        known = {field.data_key or name for name, field in self.load_fields.items()}
        unknown = {name: ["Unknown field."] for name in given if name not in known}
        if unknown:
            raise ValidationError(unknown)

    # What marshmallow reads whenever it loads or dumps; it sets them once, with all fields.

    @property
    def load_fields(self) -> Fields:
        """The fields that may be sent."""
        return self._of_version("load")

    @load_fields.setter
    def load_fields(self, every: Fields) -> None:
        self._keep("load", every)

    @property
    def dump_fields(self) -> Fields:
        """The fields that are answered."""
        return self._of_version("dump")

    @dump_fields.setter
    def dump_fields(self, every: Fields) -> None:
        self._keep("dump", every)

    def _keep(self, use: str, every: Fields) -> None:
        self.__dict__[f"_every_{use}"] = every
        self.__dict__[f"_open_{use}"] = {}

    def _of_version(self, use: str) -> Fields:
        known: dict[tuple[int, int], Fields] = self.__dict__[f"_open_{use}"]
        version = microversions.used()
        if version not in known:
            every: Fields = self.__dict__[f"_every_{use}"]
            known[version] = {name: one for name, one in every.items() if span_of(one).is_open}
        return known[version]


def since(gate: Gate, field: F, *, until: Gate | None = None) -> F:
    """Return the field, there from this version on, and until another one if it is said."""
    return _limited(field, Span(gate, until))


def until(gate: Gate, field: F) -> F:
    """Return the field, there before this version."""
    return _limited(field, Span(until=gate))


class Changed(fields.Field[Any]):
    """A field that has one form before a version, and another from it on. It calls its two forms as
    marshmallow's own List calls what it lists."""

    def __init__(
        self, gate: Gate, before: fields.Field[Any], after: fields.Field[Any], **more: Any
    ) -> None:
        super().__init__(**more)
        self.gate, self.forms = gate, (before, after)

    def _bind_to_schema(self, field_name: str, parent: Schema | fields.Field[Any]) -> None:
        super()._bind_to_schema(field_name, parent)
        before, after = (deepcopy(form) for form in self.forms)
        for form in (before, after):
            form._bind_to_schema(field_name, self)  # noqa: SLF001
        self.forms = (before, after)

    def _serialize(self, value: Any, attr: Any, obj: Any, **_: Any) -> Any:
        return self.forms[self.gate.is_open]._serialize(value, attr, obj)  # noqa: SLF001

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> Any:
        return self.forms[self.gate.is_open].deserialize(value, attr, data, **kwargs)


def document_changed(
    converter: OpenAPIConverter, field: fields.Field[Any], **_: Any
) -> Mapping[str, Any]:
    """Tell the API's document both forms of a `Changed` field."""
    if not isinstance(field, Changed):
        return {}
    forms = [converter.field2property(form) for form in field.forms]
    words = f"The second form from {field.gate.text} on."
    return {"anyOf": forms, "description": words}


def _limited(field: F, span: Span) -> F:
    told = span.document()
    words = (field.metadata.get("description"), told["description"])
    field.metadata = {
        **field.metadata,
        **told,
        "description": " ".join(word for word in words if word),
        _SPAN: span,
    }
    field.required = False
    return field


def span_of(field: fields.Field[Any]) -> Span:
    """Return in which versions a field is there."""
    span: Span = field.metadata.get(_SPAN, ALWAYS)
    return span
