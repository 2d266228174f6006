"""A flavor's extra specs: which of them mean something here, and what. Pure.

Keys of the namespaces `quota:` and `hw:` that nothing here carries out are refused, as Nova does
from 2.86: a limit that is silently none is worse than none. Other namespaces are for others (a
project's own notes, another scheduler), and are kept and shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from tasks.errors import RequestError
from tasks.messages import Limits

CPU_POLICY = "hw:cpu_policy"
CpuPolicy = Literal["shared", "dedicated"]
_POLICIES = ("shared", "dedicated")

#: Namespaces in which every key is known or refused.
_OURS = ("quota:", "hw:")
#: More than any flavor says; keeps a row small.
MAX_SPECS = 128


@dataclass(frozen=True)
class _Number:
    """A whole number: the field of Limits that it fills, and what it can be beside 0 (no limit)."""

    field: str
    lowest: int
    highest: int


#: As QEMU throttles: at most 1 PB, or operations, a second.
_RATE = (1, 10**15)
#: KiB a second; as many as a message's number holds with ease.
_BANDWIDTH = (1, 2**31 - 1)
#: KiB in one burst: libvirt counts their bytes in 32 bits.
_BURST = (1, 2**22 - 1)

_NUMBERS: dict[str, _Number] = {
    **{
        f"quota:disk_{way}_{what}_sec": _Number(f"disk_{way}_{field}", *_RATE)
        for way in ("read", "write", "total")
        for what, field in (("bytes", "bytes_s"), ("iops", "iops"))
    },
    **{
        f"quota:vif_{way}_{what}": _Number(f"vif_{way}_{what}", *limits)
        for way in ("inbound", "outbound")
        for what, limits in (("average", _BANDWIDTH), ("peak", _BANDWIDTH), ("burst", _BURST))
    },
    # Good under both kinds of Linux's control groups, which hosts may mix.
    "quota:cpu_shares": _Number("cpu_shares", 2, 10_000),
    # libvirt's own limits, in microseconds.
    "quota:cpu_period": _Number("cpu_period_us", 1_000, 1_000_000),
    "quota:cpu_quota": _Number("cpu_quota_us", 1_000, 1_000_000_000),
}


def check_extra_specs(specs: Mapping[str, str]) -> None:
    """Raise RequestError, naming the key, for a whole set of which one cannot be carried out."""
    if len(specs) > MAX_SPECS:
        raise RequestError(f"extra_specs: at most {MAX_SPECS} keys.")
    for key, value in specs.items():
        _check(key, value)
    for what in ("bytes", "iops"):
        _refuse_both(specs, f"quota:disk_total_{what}_sec", f"quota:disk_read_{what}_sec")
        _refuse_both(specs, f"quota:disk_total_{what}_sec", f"quota:disk_write_{what}_sec")
    for way in ("inbound", "outbound"):
        _check_bandwidth(specs, f"quota:vif_{way}")


def limits_of(specs: Mapping[str, str]) -> Limits:
    """Return the limits that they spell."""
    known = {number.field: _read(specs, key) for key, number in _NUMBERS.items()}
    return Limits.parse({field: limit for field, limit in known.items() if limit})


def has_vif_limits(specs: Mapping[str, str]) -> bool:
    """Say whether they hold interfaces to a rate."""
    return any(_read(specs, f"quota:vif_{way}_average") for way in ("inbound", "outbound"))


def cpu_policy_of(specs: Mapping[str, str]) -> CpuPolicy:
    """Return whether the server's processors are its own."""
    return cast("CpuPolicy", specs.get(CPU_POLICY, "shared"))


def _check(key: str, value: str) -> None:
    if key == CPU_POLICY:
        if value not in _POLICIES:
            raise RequestError(f"extra_specs.{key}: {value!r:.60} is none of shared, dedicated.")
        return
    number = _NUMBERS.get(key)
    if number is not None:
        _check_number(key, value, number)
    elif key.startswith(_OURS):
        known = ", ".join(sorted([*_NUMBERS, CPU_POLICY]))
        raise RequestError(f"extra_specs.{key}: is not carried out here; known are {known}.")


def _check_number(key: str, value: str, number: _Number) -> None:
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(number.highest))
    if not is_number or not (int(value) == 0 or number.lowest <= int(value) <= number.highest):
        raise RequestError(
            f"extra_specs.{key}: {value!r:.60} is no whole number from {number.lowest} to"
            f" {number.highest}; 0 is no limit."
        )


def _refuse_both(specs: Mapping[str, str], total: str, part: str) -> None:
    if _read(specs, total) and _read(specs, part):
        raise RequestError(f"extra_specs.{total}: cannot be had together with {part}.")


def _check_bandwidth(specs: Mapping[str, str], prefix: str) -> None:
    average, peak = _read(specs, f"{prefix}_average"), _read(specs, f"{prefix}_peak")
    for what in ("peak", "burst"):
        if _read(specs, f"{prefix}_{what}") and not average:
            raise RequestError(f"extra_specs.{prefix}_{what}: needs {prefix}_average.")
    if peak and peak < average:
        raise RequestError(f"extra_specs.{prefix}_peak: is less than {prefix}_average.")


def _read(specs: Mapping[str, str], key: str) -> int:
    return int(specs.get(key, "0"))
