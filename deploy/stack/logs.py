"""`logs`: follow the logs of all parts or of one; without a terminal, print their ends."""

import os
import sys

from deploy.stack.layout import Layout
from deploy.stack.say import Failure

LINES = 200


def logs(layout: Layout, part: str | None) -> None:
    """Become `tail`, which does this best. Raises Failure."""
    files = sorted(layout.logs.glob("*.log"))
    if part is not None:
        files = [file for file in files if file.stem == part]
    if not files:
        known = ", ".join(sorted(file.stem for file in layout.logs.glob("*.log")))
        raise Failure(f"there is no log of {part or 'any part'}; there are: {known or 'none'}")
    follow = ["--follow=name", "--retry"] if sys.stdout.isatty() else []
    sys.stdout.flush()
    command = ["tail", f"--lines={LINES}", *follow, *map(str, files)]
    os.execvp("tail", command)  # noqa: S606 (no shell is wanted)
