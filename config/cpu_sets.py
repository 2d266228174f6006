"""Sets of a host's processors, as an operator writes them: `2-7,^4,10`, as Nova and libvirt do."""

import re

#: More than any host has; a range beyond it is a slip of the keyboard.
MAX_CPU = 4095

_PART = re.compile(r"(\^?)(\d{1,4})(?:-(\d{1,4}))?", re.ASCII)


def parse_cpu_set(text: str) -> frozenset[int]:
    """Return the processors' numbers; blank is none. Raises ValueError, naming the part."""
    wanted: set[int] = set()
    left_out: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        found = _PART.fullmatch(part)
        first, last = (int(found[2]), int(found[3] or found[2])) if found else (1, 0)
        if found is None or first > last or last > MAX_CPU:
            raise ValueError(f"{part!r} is no processor and no range of them, as in 2-7,^4,10")
        (left_out if found[1] else wanted).update(range(first, last + 1))
    return frozenset(wanted - left_out)


def cpu_set_text(cpus: frozenset[int]) -> str:
    """Return the set as libvirt reads it."""
    return ",".join(str(cpu) for cpu in sorted(cpus))
