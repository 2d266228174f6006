"""docs/compute-api.md: Nova's compute API beside ours, written from our routes and from Nova's in
nova_routes.txt by `python -m tests.structure.test_routes`, with routes.txt.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.api.compute import server_actions
from app.api.gates import ALWAYS, Gate, Span
from app.api.versioned import span_of
from app.policy import POLICY, SERVER_ACTIONS
from tests.structure.test_routes import make_app, routes

PAGE = Path(__file__).parents[2] / "docs" / "compute-api.md"
NOVAS = Path(__file__).with_name("nova_routes.txt")
PREFIX = "/compute/v2.1"
#: The last version that Nova's routes are listed up to.
LAST = list(Gate)[-1].text

#: What is there only to say that it is not to be had, and how.
REFUSED = {
    "action restore": "409, as of what is not soft-deleted: a deleted server is gone",
    "PUT /os-hosts/{}": "501, as by Nova's libvirt driver; its service is disabled instead",
    "GET /os-hosts/{}/startup": "501, as by Nova's libvirt driver",
    "GET /os-hosts/{}/shutdown": "501, as by Nova's libvirt driver",
    "GET /os-hosts/{}/reboot": "501, as by Nova's libvirt driver",
    "action os-migrateLive": "501: servers are stopped to be moved",
    "GET /servers/{}/migrations/{}": "404: servers are not moved while they run",
    "DELETE /servers/{}/migrations/{}": "404: servers are not moved while they run",
    "POST /servers/{}/migrations/{}/action": "404: servers are not moved while they run",
    **dict.fromkeys(
        (
            "POST /os-networks",
            "POST /os-networks/add",
            "DELETE /os-networks/{}",
            "POST /os-networks/{}/action",
            "POST /os-tenant-networks",
            "DELETE /os-tenant-networks/{}",
        ),
        "410, as by Nova: networks are made by the network API",
    ),
    **dict.fromkeys(
        (
            "POST /servers/{}/os-volume_attachments",
            "GET /servers/{}/os-volume_attachments/{}",
            "PUT /servers/{}/os-volume_attachments/{}",
            "DELETE /servers/{}/os-volume_attachments/{}",
            "GET /os-volumes/{}",
            "DELETE /os-volumes/{}",
            "GET /os-snapshots/{}",
            "DELETE /os-snapshots/{}",
        ),
        "404: there are no volumes",
    ),
    **dict.fromkeys(("POST /os-volumes", "POST /os-snapshots"), "501: there are no volumes"),
    "action os-getRDPConsole": "400: Hyper-V's",
    "action os-getSPICEConsole": "400: screens are shown by VNC",
}

#: Where Nova goes on with the same path in another meaning.
STAYING = {f"PUT /os-services/{word}" for word in ("enable", "disable", "disable-log-reason")}

#: Why something is not there, and will not be: the first part of its path that fits.
REASONS = {
    "action injectNetworkInfo": "XenServer's",
    "action resetNetwork": "XenServer's",
    "/servers/{}/consoles": "XenServer's",
    "/servers/{}/os-virtual-interfaces": "nova-network's",
    "/os-assisted-volume-snapshots": "no volumes",
    "/os-baremetal-nodes": "no bare metal",
    "/os-fixed-ips": "nova-network's",
}

HEAD = """# The compute API, beside Nova's

Each request of Nova's compute API from 2.1 to {last}, and whether Byre has it. Written from the
routes by `python -m tests.structure.test_routes`; a test fails when it is not as they are.

*done*: as Nova's, in the versions named. *refused*: there is a route that says so. *not there*:
404, or 400 for an action on a server. Who may is the least role ([identity.md](identity.md)); what
each version changes is in [microversions.md](microversions.md), what actions do in
[server-actions.md](server-actions.md).

{counts}
"""
TABLE = ["", "| Request | Versions | Byre | Who may |", "| --- | --- | --- | --- |"]


@dataclass(frozen=True)
class Ours:
    """A route or an action that Byre has."""

    who: str
    span: Span


def ours() -> dict[str, Ours]:
    """Return what Byre has, by the name that it has in nova_routes.txt."""
    app = make_app()
    found = {}
    for method, rule in routes(app):
        if rule.rule.startswith(f"{PREFIX}/") and rule.rule != f"{PREFIX}/":
            path = re.sub(r"<[^<>]+>", "{}", rule.rule.removeprefix(PREFIX))
            handler = app.view_functions[rule.endpoint]
            who = POLICY[getattr(handler, "policy_action", "")].value
            found[f"{method} {path}"] = Ours(who, getattr(handler, "span", ALWAYS))
    for name, field in server_actions.ServerAction().fields.items():
        action = server_actions.NAMES[name]
        found[f"action {action}"] = Ours(SERVER_ACTIONS[action].value, span_of(field))
    # It is what takes the actions.
    del found["POST /servers/{}/action"]
    return found


def page() -> str:
    """Return the page."""
    have = ours()
    counts = {"done": 0, "refused": 0, "not there": 0}
    lines = []
    for line in NOVAS.read_text().splitlines():
        if line.startswith("## "):
            lines += [
                "",
                line,
                "",
                "| Request | Versions | Byre | Who may |",
                "| --- | --- | --- | --- |",
            ]
        elif line and not line.startswith("#"):
            name, versions = _read(line)
            state, more, who = _compare(name, have.get(name))
            counts[state] += 1
            lines.append(f"| {_shown(name)} | {versions} | {state}{more} | {who} |")
    told = ", ".join(f"{number} {state}" for state, number in counts.items())
    return HEAD.format(last=LAST, counts=f"Now: {told}.") + "\n".join(lines) + "\n"


def _read(line: str) -> tuple[str, str]:
    """Return the name and the versions of a line."""
    kind, path, *span = line.split()
    first, last = [*span, LAST, LAST][:2] if span else ("2.1", LAST)
    return f"{kind} {path}", "all" if (first, last) == ("2.1", LAST) else f"{first} to {last}"


def _compare(name: str, found: Ours | None) -> tuple[str, str, str]:
    """Return what Byre makes of it, what is to be said of that, and who may."""
    if found is None:
        reasons = (why for start, why in REASONS.items() if start in name)
        why = next(reasons, None)
        return "not there", f": {why}" if why else "", ""
    if name in REFUSED:
        return "refused", f": {REFUSED[name]}", found.who
    return "done", "", found.who


def _shown(name: str) -> str:
    kind, _, path = name.partition(" ")
    return f"`{path}`" if kind == "action" else f"`{kind} {path.replace('{}', '{id}')}`"


def write() -> None:
    """Write the page anew."""
    PAGE.write_text(page())


def test_the_page_is_as_the_routes_are() -> None:
    assert PAGE.read_text() == page(), "Write it anew: python -m tests.structure.test_routes"


def test_what_is_said_to_be_refused_or_missing_is_so() -> None:
    names = [_read(line)[0] for line in _lines()]

    assert REFUSED.keys() <= ours().keys()
    for start in REASONS:
        matching = [name for name in names if start in name]
        assert matching
        assert ours().keys().isdisjoint(matching), start


def test_we_have_nothing_that_nova_has_not() -> None:
    assert ours().keys() <= {_read(line)[0] for line in _lines()}


def test_our_versions_are_novas() -> None:
    """A route that Nova has in some versions only is here in no others."""
    have = ours()
    wrong = {}
    for line in _lines():
        name, _ = _read(line)
        found = have.get(name)
        if found is not None:
            _, _, *span = line.split()
            mine = [found.span.since.text if found.span.since else "2.1"]
            if found.span.until is not None:
                mine.append(f"2.{found.span.until.version[1] - 1}")
            if mine != (span or ["2.1"]) and name not in STAYING:
                wrong[name] = (mine, span)
    assert wrong == {}


def _lines() -> Iterator[str]:
    for line in NOVAS.read_text().splitlines():
        if line and not line.startswith("#"):
            yield line
