"""The host's own programs, run with what they need and no more."""

import os
import subprocess

from tasks.errors import HostError

#: Longer than it takes to make the largest disk.
TOOL_LIMIT_S = 120.0


def run_tool(*command: str, limit_s: float = TOOL_LIMIT_S) -> None:
    """Run a tool. Raises HostError with what it said."""
    # The tools of administrators are not in everybody's path.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=limit_s,
            env={"PATH": path, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise HostError(f"The host lacks the program {command[0]}.") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"The host's {command[0]} took too long.") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace")[-500:]
        raise HostError(f"The host's {command[0]} failed.", problem=said) from error
