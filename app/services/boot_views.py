"""What a server's guest has proved of its boot, and when: of the latest attempt to make it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from app.db.models import Run, Stage
from app.db.repo import servers
from app.db.session import reading
from app.services.context import Caller, Context
from app.services.servers import found
from tasks.messages import BootReport, DomainRef, Proof, ProofSeen
from tasks.pipelines import PLACING, REBUILDS

WAITING, BOOTING, UP, FAILED = "waiting", "booting", "up", "failed"


@dataclass(frozen=True)
class ProofView:
    """One proof. `unknown` is neither seen nor missed: nobody looked, or nobody could."""

    proof: str
    state: str
    seen_at: datetime | None
    after_s: float | None
    detail: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class BootView:
    """A boot. `wanted` is the proof that makes it `up`; none before the domain is defined. What is
    seen only after that proof is looked for no more, and stays as it was."""

    server_id: str
    state: str
    wanted: str | None
    limit_s: float | None
    started_at: datetime | None
    ended_at: datetime | None
    proofs: tuple[ProofView, ...]


def of_server(context: Context, caller: Caller, server_id: str) -> BootView:
    """Return the server's boot. Raises NotFound."""
    with reading(context.sessions) as session:
        server = found(servers.get(session, server_id), caller, server_id)
        runs = servers.runs_of(session, server.id)
        run = next((run for run in runs if run.pipeline in (*PLACING, *REBUILDS)), None)
        stages = {} if run is None else _stages(run)
    looking = stages.get("poll_boot")
    domain = _domain(stages)
    return BootView(
        server_id=server_id,
        state=_state(looking),
        wanted=None if domain is None else domain.boot.proof,
        limit_s=None if domain is None else domain.boot.limit_s,
        started_at=None if domain is None else _moment(domain.started_at),
        ended_at=None if looking is None else looking.finished_at,
        proofs=proofs_of(None if looking is None else looking.output),
    )


def proofs_of(output: dict[str, Any] | None) -> tuple[ProofView, ...]:
    """Return every proof there is, as a report has them; what it does not know is unknown."""
    report = BootReport.parse(output) if output else BootReport(proofs=[])
    told = {proof.proof: proof for proof in report.proofs}
    return tuple(
        proof_view(told.get(name, ProofSeen(proof=name, state="unknown")))
        for name in get_args(Proof)
    )


def proof_view(proof: ProofSeen) -> ProofView:
    """Return what is shown of a proof."""
    return ProofView(
        proof=proof.proof,
        state=proof.state,
        seen_at=_moment(proof.seen_at),
        after_s=proof.after_s,
        detail=proof.detail,
        addresses=tuple(proof.addresses),
    )


def _stages(run: Run) -> dict[str, Stage]:
    """Return those of the present attempt, which come last."""
    return {stage.name: stage for stage in run.stages}


def _domain(stages: dict[str, Stage]) -> DomainRef | None:
    for name in ("launch", "define_domain"):
        stage = stages.get(name)
        if stage is not None and stage.output:
            return DomainRef.parse(stage.output)
    return None


def _state(looking: Stage | None) -> str:
    if looking is None or looking.state in ("waiting", "queued"):
        return WAITING
    return {"running": BOOTING, "done": UP}.get(looking.state, FAILED)


def _moment(unix_s: float | None) -> datetime | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)
