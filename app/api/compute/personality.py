"""Files that a server's guest is to find, in Nova's words its personality."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from app.api.compute.schema import Base64Field, Strict, Text
from app.api.gates import Gate
from app.api.versioned import until
from tasks.messages import InjectedFile


class PersonalityFile(Strict):
    """A file that the guest is to find: cloud-init takes it from the config drive."""

    path = Text(required=True, validate=validate.Length(min=1))
    contents = Base64Field(required=True, metadata={"description": "base64"})


def personality_field() -> fields.Field[Any]:
    """Return a field of files; how many and how large they may be is a project's quota."""
    return until(Gate.NO_PERSONALITY, fields.List(fields.Nested(PersonalityFile)))


def read_files(given: Mapping[str, Any]) -> tuple[InjectedFile, ...]:
    """Return the files of a create or of a rebuild."""
    return tuple(InjectedFile.parse(file) for file in given.get("personality", []))
