"""Can this host's kernel hold an interface to a rate, in the ways that libvirt uses for it?

Effect  tried on the loopback of a network of its own, which is gone with the command.
"""

import subprocess

import structlog

log = structlog.get_logger(__name__)

#: Towards the guest, libvirt queues (HTB, with SFQ for fairness); from it, it polices.
_TRIAL = """\
set -e
tc qdisc add dev lo root handle 1: htb default 1
tc class add dev lo parent 1: classid 1:1 htb rate 1mbit
tc qdisc add dev lo parent 1:1 handle 2: sfq perturb 10
tc qdisc add dev lo ingress
tc filter add dev lo parent ffff: protocol all u32 match u32 0 0 \
police rate 1mbit burst 1mb mtu 64kb drop flowid :1
"""
_LIMIT_S = 10.0


def can_shape() -> bool:
    """Try it. A host that lacks the tools, or the right to use them, cannot either."""
    try:
        tried = subprocess.run(
            ["unshare", "--net", "sh", "-c", _TRIAL],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("shaping.untried", problem=str(error))
        return False
    if tried.returncode:
        log.warning("shaping.lacking", problem=tried.stderr.strip()[-300:])
    return tried.returncode == 0
