"""`status`: a table of the parts, and how many servers there are."""

from collections import Counter

from deploy.stack.client import ApiError
from deploy.stack.parts import OPERATOR, Part, Stack
from deploy.stack.process import uptime_s
from deploy.stack.say import say

ROW = "{:<9} {:<9} {:>8} {:>9}  {}"


def status(stack: Stack) -> bool:
    """Print the table; return whether all is up."""
    rows = [_row(part) for part in (*stack.parts, stack.keeper)]
    if stack.uses_libvirt:
        state = "up" if stack.libvirt_works() else "down"
        rows.append(("libvirt", state, "-", "-", "qemu:///system"))
    say(ROW.format("PART", "STATE", "PID", "UPTIME", "WHERE"))
    for row in rows:
        say(ROW.format(*row))
    say(f"servers   {_count_servers(stack)}")
    return all(row[1] == "up" for row in rows)


def _row(part: Part) -> tuple[str, str, str, str, str]:
    """`running` is a process whose check fails: alive, but not at work."""
    mark = part.process.alive()
    if mark is None:
        return part.name, "down", "-", "-", part.detail
    state = "up" if part.works() else "running"
    return part.name, state, str(mark.pid), _span(uptime_s(mark)), part.detail


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _count_servers(stack: Stack) -> str:
    try:
        answer = stack.login(OPERATOR).get("/compute/v2.1/servers/detail?all_tenants=1")
    except ApiError:
        return "unknown: the API does not answer"
    counts = Counter(server["status"] for server in answer["servers"])
    by_status = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return f"{counts.total()} ({by_status})" if counts else "0"
