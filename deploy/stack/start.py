"""Starting parts, each healthy before the next, and saying why when one is not."""

import time
from collections.abc import Sequence

from deploy.stack.layout import API_PORT, CONSOLE_PORT, FLOWER_PORT, REDIS_PORT, ROOT, Layout
from deploy.stack.parts import Part, Stack
from deploy.stack.ports import holder_of
from deploy.stack.say import Failure, step


def refuse_taken_ports(stack: Stack) -> None:
    """See to it that no other program holds a port that a part still needs. Raises Failure."""
    for part in stack.parts:
        if part.port is not None and not part.process.alive():
            where = f"in {stack.layout.config}" if part.name != "flower" else FLOWER_PORT
            _refuse_taken_port(part.name, part.port, where)


def refuse_taken_first_ports(layout: Layout) -> None:
    """The same, before settings with these ports are written. Raises Failure."""
    _refuse_taken_port("redis", layout.redis_port, REDIS_PORT)
    _refuse_taken_port("api", layout.api_port, API_PORT)
    _refuse_taken_port("console", layout.console_port, CONSOLE_PORT)
    _refuse_taken_port("flower", layout.flower_port, FLOWER_PORT)


def _refuse_taken_port(name: str, port: int, where: str) -> None:
    holder = holder_of(port)
    if holder is not None:
        raise Failure(
            f"port {port}, which {name} needs, is taken by {holder}.\n"
            f"End that program, or choose another port: {where}."
        )


def start_parts(stack: Stack, parts: Sequence[Part]) -> int:
    """Start those that do not run, wait until all work, and return how many were started."""
    missing = [part for part in parts if not part.process.alive()]
    for part in missing:
        part.process.start(stack.environ(), ROOT)
    for part in parts:
        if part in missing or not part.works():
            with step(part.name, part.detail):
                _wait_until_works(part, parts)
    return len(missing)


def start_keeper(stack: Stack) -> None:
    """Start the supervisor, unless it runs."""
    if not stack.keeper.process.alive():
        stack.keeper.process.start(stack.keeper_environ(), ROOT)


def _wait_until_works(part: Part, parts: Sequence[Part]) -> None:
    """Wait for one of the parts that were started; the end of any of them ends the wait."""
    deadline = time.monotonic() + part.start_limit_s
    while True:
        for each in parts:
            if each.process.alive() is None:
                raise Failure(_explain(each, "has ended"))
        if part.works():
            return
        if time.monotonic() > deadline:
            raise Failure(_explain(part, f"does not work after {part.start_limit_s:.0f} s"))
        time.sleep(0.1)


def _explain(part: Part, what: str) -> str:
    lines = "\n".join(f"    {line}" for line in part.process.last_lines(15))
    return (
        f"{part.name} {what}. The end of its log ({part.process.log}):\n{lines}\n"
        f"More: make logs PART={part.name}. To begin anew: make down, then make up."
    )
