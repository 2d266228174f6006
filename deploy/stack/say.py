"""What a person sees: plain lines, and on a terminal a line that shows what is under way."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Back to the line's start, and clear what stands there.
REWIND = "\r\x1b[K"


class Failure(Exception):
    """The command cannot go on; the text says why and what to do, in one or more lines."""


def say(text: str = "") -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def hint(text: str) -> None:
    """Show what is under way, on a terminal only; the next line takes its place."""
    if sys.stdout.isatty():
        sys.stdout.write(f"{REWIND}{text}")
        sys.stdout.flush()


def clear() -> None:
    """Take the last hint away."""
    if sys.stdout.isatty():
        sys.stdout.write(REWIND)


def settle(text: str) -> None:
    """Print a line in the place of the last hint."""
    say(f"{REWIND}{text}" if sys.stdout.isatty() else text)


@contextmanager
def step(name: str, detail: str) -> Iterator[None]:
    """Show a step while it is under way, and when it is done for how long it took."""
    started = time.monotonic()
    hint(f"  {name:<10} {detail} ...")
    try:
        yield
    except BaseException:
        settle(f"  {name:<10} {detail:<44} failed")
        raise
    settle(f"  {name:<10} {detail:<44} {time.monotonic() - started:6.1f} s")
