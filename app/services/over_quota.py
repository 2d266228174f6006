"""How a quota that would be exceeded is told, in Nova's words."""

from collections.abc import Sequence

from tasks.errors import QuotaExceeded


def over_quota(rows: Sequence[tuple[str, int, int, int]]) -> QuotaExceeded:
    """Return the refusal. `rows`: of each resource its name, and how much is requested, used and
    allowed. Names stand together, then the numbers in the same order."""
    names = ",".join(name for name, *_ in rows)
    requested = ", ".join(str(more) for _, more, _, _ in rows)
    used = ", ".join(str(in_use) for _, _, in_use, _ in rows)
    allowed = ", ".join(str(limit) for *_, limit in rows)
    return QuotaExceeded(
        f"Quota exceeded for {names}: Requested {requested},"
        f" but already used {used} of {allowed} {names}"
    )
