"""Cases of compute's gates that change nothing: what is there at a microversion, and not below."""

from typing import Any

from tests.http.cases import Case, Like, compute_fault
from tests.http.table_compute import KEY

COMPUTE = "/compute/v2.1"


def get(at: int, who: str, path: str, answer: Any, status: int = 200) -> Case:
    """Return a case of a GET at a minor version."""
    return Case(f"2.{at} {path} {who}", who, "GET", f"{COMPUTE}{path}", status, answer, at=at)


def refused(at: int, method: str, path: str, send: Any, status: int, words: str) -> Case:
    """Return a case of alice's request that is refused with these words."""
    name = f"2.{at} {method} {path} {str(send)[:50]}"
    answer = compute_fault(status, Like(f".*{words}.*"))
    return Case(name, "alice", method, f"{COMPUTE}{path}", status, answer, send=send, at=at)


def _keypair(**more: Any) -> dict[str, Any]:
    return {"keypair": {"name": "x", **more}}


KEYPAIRS = [
    get(2, "alice", "/os-keypairs", {"keypairs": [{"keypair": {**KEY, "type": "ssh"}}]}),
    refused(1, "POST", "/os-keypairs", _keypair(type="ssh"), 400, "keypair.type: Unknown field"),
    refused(2, "POST", "/os-keypairs", _keypair(type="x509"), 400, "keypair.type: must be ssh"),
]

CASES: list[Case] = [*KEYPAIRS]
