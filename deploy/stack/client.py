"""A small client of Byre's API, on the standard library: what the stack itself must ask."""

import json
from email.message import Message
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Self

import yaml


class ApiError(Exception):
    """The API did not answer, or refused; `status` is None when there was no answer."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """The API as one user of one project."""

    def __init__(self, address: str, token: str | None = None) -> None:
        """`address` is HOST:PORT; a proxy that the environment may name has no part in this."""
        self._address, self._token = address, token

    @classmethod
    def login(cls, address: str, clouds: Path, cloud: str) -> Self:
        """Return a client with a token of the user that clouds.yaml names. Raises ApiError."""
        try:
            auth = yaml.safe_load(clouds.read_text())["clouds"][cloud]["auth"]
        except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
            raise ApiError(f"{clouds} has no cloud {cloud}: {error}") from error
        body = {"auth": {"identity": _password(auth), "scope": {"project": _project(auth)}}}
        _, headers = cls(address).send("POST", "/identity/v3/auth/tokens", body)
        return cls(address, headers["X-Subject-Token"])

    def get(self, path: str) -> Any:
        """Return the body. Raises ApiError."""
        return self.send("GET", path)[0]

    def post(self, path: str, body: object) -> Any:
        """Return the answer's body. Raises ApiError."""
        return self.send("POST", path, body)[0]

    def delete(self, path: str) -> None:
        """Delete; what is not there any more counts as deleted. Raises ApiError."""
        try:
            self.send("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    def answers(self, path: str) -> bool:
        """Tell whether a GET is answered with success."""
        try:
            self.send("GET", path)
        except ApiError:
            return False
        return True

    def send(self, method: str, path: str, body: object = None) -> tuple[Any, Message]:
        """Return the answer's body and headers. Raises ApiError."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token is not None:
            headers["X-Auth-Token"] = self._token
        link = HTTPConnection(self._address, timeout=30)
        try:
            link.request(method, path, None if body is None else json.dumps(body), headers)
            answer = link.getresponse()
            content = answer.read()
        except (OSError, HTTPException) as error:
            raise ApiError(f"{method} http://{self._address}{path}: {error}") from error
        finally:
            link.close()
        if answer.status >= 300:
            text = content.decode(errors="replace")
            raise ApiError(f"{method} {path}: {answer.status}: {text}", answer.status)
        return _decode(content), answer.headers


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def _password(auth: dict[str, str]) -> dict[str, Any]:
    user = {
        "name": auth["username"],
        "password": auth["password"],
        "domain": {"name": auth.get("user_domain_name", "Default")},
    }
    return {"methods": ["password"], "password": {"user": user}}


def _project(auth: dict[str, str]) -> dict[str, Any]:
    return {
        "name": auth["project_name"],
        "domain": {"name": auth.get("project_domain_name", "Default")},
    }
