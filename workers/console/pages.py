"""The pages that browsers are given: noVNC, xterm.js, and a page of ours for serial consoles. All
of them come from here, none from the internet."""

import json
import mimetypes
from collections.abc import Iterator
from pathlib import Path

import structlog
from websockets.datastructures import Headers
from websockets.http11 import Response

log = structlog.get_logger(__name__)

_OWN = Path(__file__).parent / "static"
#: What a browser needs of noVNC: its plain page and its full one, with what they load.
_NOVNC = ("vnc_lite.html", "vnc.html", "app", "core", "vendor")

#: Debian has xterm.js as modules for Node.js, which a browser takes as one script.
_ONE_SCRIPT = """\
const Terminal = (() => {
  const sources = {%s};
  const made = {};
  const load = (name) => {
    if (!made[name]) {
      const module = made[name] = { exports: {} };
      const require = (path) => load(new URL(`${path}.js`, `file:///${name}`).pathname.slice(1));
      sources[name](module, module.exports, require);
    }
    return made[name].exports;
  };
  return load("public/Terminal.js").Terminal;
})();
"""

_TYPES = {".js": "text/javascript", ".html": "text/html; charset=utf-8"}


class Pages:
    """All files, read once: they are small, and no path of a request ever meets the disk."""

    def __init__(self, directory: Path, origins: str) -> None:
        """`directory` holds `novnc` and `xterm`; `origins` are the sites that may show consoles in
        a frame."""
        self._files: dict[str, tuple[bytes, str]] = {}
        self._read(_OWN, [path.name for path in _OWN.iterdir()])
        self._read(directory / "novnc", _NOVNC)
        self._read(directory / "xterm", ("xterm.css",))
        self._read_xterm(directory / "xterm" / "lib")
        if not {"/vnc_lite.html", "/xterm.js"} <= self._files.keys():
            log.warning("pages.missing", directory=str(directory), see="deploy/console-pages")
        # The pages' scripts and styles stand in them.
        self._rules = (
            "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self'"
            " 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' ws: wss:;"
            f" frame-ancestors 'self' {origins}; base-uri 'none'; form-action 'none'"
        )

    def answer(self, path: str) -> Response:
        """Return the page of a path without its query. `/` is where serial consoles are, so that
        whoever has the URL of one opens it with `http` for `ws`."""
        found = self._files.get("/serial.html" if path == "/" else path)
        if path == "/healthz":
            found = (b"ok\n", "text/plain")
        if found is None:
            return self._made(404, "Not Found", b"There is no such page.\n", "text/plain")
        return self._made(200, "OK", *found)

    def _made(self, status: int, reason: str, body: bytes, kind: str) -> Response:
        headers = Headers(
            {
                "Content-Type": kind,
                "Content-Length": str(len(body)),
                "Content-Security-Policy": self._rules,
                # The address of the page holds a token, if one that was used.
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-cache",
                "Connection": "close",
            }
        )
        return Response(status, reason, headers, body)

    def _read_xterm(self, root: Path) -> None:
        paths = [path for path in sorted(root.rglob("*.js")) if not path.match("*.test.js")]
        if paths:
            modules = (
                f"{json.dumps(str(path.relative_to(root)))}:"
                f" (module, exports, require) => {{\n{path.read_text()}\n}},\n"
                for path in paths
            )
            script = _ONE_SCRIPT.replace("%s", "".join(modules))
            self._files["/xterm.js"] = (script.encode(), _TYPES[".js"])

    def _read(self, root: Path, names: list[str] | tuple[str, ...]) -> None:
        for path in _files(root, names):
            kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
            body = path.read_bytes()
            self._files[f"/{path.relative_to(root)}"] = (body, kind or "application/octet-stream")


def _files(root: Path, names: list[str] | tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = root / name
        yield from (each for each in [path, *path.rglob("*")] if each.is_file())
