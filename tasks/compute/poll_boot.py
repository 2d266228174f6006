"""create-server, stage poll_boot. Side: compute.

Effect  none on the host: it looks. Each look is a message of its own, so that a booting guest
        holds no slot of the worker; what was found so far travels in the message.
Repeat  a look more.
Undo    nothing was made.
"""

import time

from tasks.errors import BootTimeout, GuestDied, NotYet
from tasks.messages import BootReport, DomainRef, Job, PortsRef, ProofSeen
from workers.hypervisor.port import Hypervisor, Observation

#: Lines of the console that go into the fault, and the most characters of them.
CONSOLE_LINES = 30
CONSOLE_CHARACTERS = 4000


def do(
    job: Job, host: Hypervisor, *, domain: DomainRef, seen: BootReport | None = None
) -> BootReport:
    """Look at the guest once. Raises NotYet while it boots, BootTimeout, GuestDied."""
    look = host.observe(job.server_id, domain.ports)
    after_s = max(0.0, time.time() - (domain.started_at or time.time()))
    report = merge(seen, look, domain, after_s)
    if look.state in (None, "shutoff", "crashed"):
        raise GuestDied(
            f"The guest stopped {after_s:.0f} s after its start, before it was up"
            f" ({look.state or 'its domain is gone'}). {describe(report)}",
            console=last_lines(look.console),
        )
    if state_of(report, domain.boot.proof) == "seen":
        return report
    if after_s > domain.boot.limit_s:
        raise BootTimeout(
            f"The guest did not prove within {domain.boot.limit_s:.0f} s that it is up"
            f" (wanted: {domain.boot.proof}). {describe(report)}",
            console=last_lines(look.console),
        )
    raise NotYet(describe(report), again_s=pause_s(after_s), found={"seen": report})


def undo(job: Job, host: Hypervisor, ports: PortsRef) -> None:
    """Nothing: see the head of this file."""


def pause_s(after_s: float) -> float:
    """Return the pause before the next look: short while a quick guest may come up, then longer,
    a twentieth of the time that it has taken so far; between 0.25 and 5 seconds."""
    return min(5.0, max(0.25, after_s / 20))


def merge(
    seen: BootReport | None, look: Observation, domain: DomainRef, after_s: float
) -> BootReport:
    """Return the report with this look's findings. What was seen once stays seen, with its time."""
    before = {proof.proof: proof for proof in seen.proofs} if seen else {}
    found = {
        "running": (look.state == "running", look.state or "no domain"),
        "address": (bool(look.addresses), ""),
        "agent": (look.agent, ""),
        "console": (_console_answers(look, domain), domain.boot.console_text),
        "first_boot": (look.first_boot, _said(look)),
    }
    proofs = [
        before[name]
        if name in before and before[name].state == "seen"
        else _proof(name, answer=answer, detail=detail, after_s=after_s)
        for name, (answer, detail) in found.items()
    ]
    return BootReport(proofs=[_with_addresses(p, before.get(p.proof), look) for p in proofs])


def _said(look: Observation) -> str:
    return f"the guest says: {look.first_boot_result}" if look.first_boot_result else ""


def _with_addresses(proof: ProofSeen, before: ProofSeen | None, look: Observation) -> ProofSeen:
    """Name every address that was seen by now; the time stays that of the first."""
    if proof.proof != "address" or proof.state != "seen":
        return proof
    known = before.addresses if before else []
    addresses = list(dict.fromkeys([*known, *look.addresses]))
    return proof.model_copy(update={"addresses": addresses, "detail": ", ".join(addresses)})


def _console_answers(look: Observation, domain: DomainRef) -> bool | None:
    text = domain.boot.console_text
    return text in look.console if text else None


def _proof(name: str, *, answer: bool | None, detail: str, after_s: float) -> ProofSeen:
    if answer is None:
        return ProofSeen.parse({"proof": name, "state": "unknown"})
    if not answer:
        return ProofSeen.parse({"proof": name, "state": "not_seen"})
    return ProofSeen.parse(
        {
            "proof": name,
            "state": "seen",
            "after_s": round(after_s, 3),
            "seen_at": round(time.time(), 3),
            "detail": detail,
        }
    )


def state_of(report: BootReport, name: str) -> str:
    """Return the state of one proof."""
    states = (proof.state for proof in report.proofs if proof.proof == name)
    # A report of an older worker may not know the proof.
    return next(states, "unknown")


def describe(report: BootReport) -> str:
    """Say in one sentence what was seen and what was not."""
    words = {"seen": "seen", "not_seen": "not seen", "unknown": "unknown"}
    return "; ".join(f"{proof.proof}: {words[proof.state]}" for proof in report.proofs) + "."


def last_lines(console: str) -> str:
    """Return the end of the console's output, for the fault's details."""
    return "\n".join(console.splitlines()[-CONSOLE_LINES:])[-CONSOLE_CHARACTERS:]
