"""What is answered to one request: a page of the guest's own, its word taken, or nothing at all.

Whoever is no port of this host, and whatever comes through a proxy or under another name than the
service's address, is answered 404 without a word: a guest's program that can be talked into
fetching a URL shall not be talked into this one.
"""

import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog

from tasks.errors import MalformedMessage
from tasks.messages import MAX_PASSWORD_BYTES
from workers.hypervisor.first_boot import METADATA_ADDRESS, PHONE_HOME_PATH
from workers.hypervisor.guest_data import GuestData, GuestStore, Result
from workers.limits import Allowance
from workers.metadata.asker import Asker, is_port
from workers.metadata.directory import Directory
from workers.metadata.floating import FloatingAddresses
from workers.metadata.pages import POSTED_PATHS, pages

log = structlog.get_logger(__name__)

#: What a guest may say of its first boot, in bytes.
MAX_BODY_BYTES = 16 * 1024
#: Where the server puts who asks.
ASKER = "byre.asker"

_HOSTS = {METADATA_ADDRESS, f"{METADATA_ADDRESS}:80"}
#: Headers by which proxies and gateways say that they are some.
_PROXIES = ("HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA", "HTTP_CLIENT_IP")

Environ = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """An answer; by default the one that says nothing."""

    status: HTTPStatus = HTTPStatus.NOT_FOUND
    kind: str = "text/plain; charset=UTF-8"
    content: bytes = b""


class Answers:
    """The service, as WSGI has it."""

    def __init__(
        self,
        store: GuestStore,
        floating: FloatingAddresses,
        allowance: Allowance,
        proved: Callable[[Asker, str], bool] = is_port,
    ) -> None:
        self._store, self._floating = store, floating
        self._directory = Directory(store)
        self._allowance = allowance
        self._proved = proved

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._answer(environ)
        start_response(
            f"{answer.status.value} {answer.status.phrase}",
            [
                ("Content-Type", answer.kind),
                ("Content-Length", str(len(answer.content))),
            ],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.content]

    def _answer(self, environ: Environ) -> Answer:
        asker: Asker | None = environ[ASKER]
        if asker is None or _is_relayed(environ):
            return Answer()
        if not self._allowance.take(asker):
            return Answer(HTTPStatus.TOO_MANY_REQUESTS)
        data = self._guest_of(asker)
        return Answer() if data is None else self._told(data, environ)

    def _told(self, data: GuestData, environ: Environ) -> Answer:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.rstrip("/") in POSTED_PATHS:
            return self._password(data, method, environ)
        if method in ("GET", "HEAD"):
            return self._page(data, path)
        if method == "POST" and path.startswith(PHONE_HOME_PATH):
            return self._word(data, path.removeprefix(PHONE_HOME_PATH), environ)
        return Answer()

    def _guest_of(self, asker: Asker) -> GuestData | None:
        place = self._directory.place_of(asker)
        if place is None or not self._proved(asker, place.mac):
            # Nobody's address, or another port's: an operator who looks for it finds it here.
            log.debug("metadata.refused", interface=asker.interface, address=asker.address)
            return None
        return self._store.read(place.server_id)

    def _page(self, data: GuestData, path: str) -> Answer:
        try:
            page = pages(data, self._floating.by_port()).get(path.rstrip("/"))
        except MalformedMessage as error:
            log.error("metadata.broken", server_id=data.server_id, reason=error.public)
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR)
        return Answer() if page is None else Answer(HTTPStatus.OK, page.kind, page.content)

    def _password(self, data: GuestData, method: str, environ: Environ) -> Answer:
        """As Nova's service does: the first one stands, until its owner clears it."""
        if method in ("GET", "HEAD"):
            return Answer(HTTPStatus.OK, content=self._store.password(data.server_id).encode())
        if method != "POST":
            return Answer(HTTPStatus.BAD_REQUEST)
        text = _password(environ["wsgi.input"].read(MAX_BODY_BYTES))
        if text is None:
            return Answer(HTTPStatus.BAD_REQUEST)
        if not self._store.take_password(data.server_id, text):
            return Answer(HTTPStatus.CONFLICT)
        log.info("metadata.password", server_id=data.server_id)
        return Answer(HTTPStatus.OK)

    def _word(self, data: GuestData, token: str, environ: Environ) -> Answer:
        result = _result(environ["wsgi.input"].read(MAX_BODY_BYTES))
        if not self._store.take_word(data, token, result):
            return Answer()
        log.info("metadata.first_boot", server_id=data.server_id, result=result)
        return Answer(HTTPStatus.OK)


def _is_relayed(environ: Environ) -> bool:
    if environ.get("HTTP_HOST", METADATA_ADDRESS) not in _HOSTS:
        return True
    return any(name.startswith("HTTP_X_FORWARDED") or name in _PROXIES for name in environ)


def _password(body: bytes) -> str | None:
    """Return a password that was encrypted and made text, or None for what is none."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        return None
    is_fine = 0 < len(text) <= MAX_PASSWORD_BYTES and "\0" not in text
    return text if is_fine else None


def _result(body: bytes) -> Result:
    """Return what the guest says of its first boot: `ok` unless it says `result=failed`. Of all
    else that it may say, nothing is kept."""
    try:
        fields = urllib.parse.parse_qs(body.decode("ascii", "replace"), max_num_fields=32)
    except ValueError:
        return "ok"
    return "failed" if fields.get("result") == ["failed"] else "ok"
