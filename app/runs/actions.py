"""What an action makes of a server: when it may begin, how the server is shown meanwhile, and in
the end. In Nova's words, after its compute API reference and its vm_states.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.db.models import Run, Server
from tasks.pipelines import (
    ATTACH_INTERFACE,
    CHANGE_ADDRESSES,
    CHANGE_PASSWORD,
    CONFIRM_RESIZE,
    CREATE_BACKUP,
    CREATE_IMAGE,
    DETACH_INTERFACE,
    EVACUATE,
    EVACUATE_STOPPED,
    HARD_REBOOT,
    MIGRATE,
    OFFLOAD,
    PAUSE,
    REBOOT,
    REBUILD,
    REBUILD_STOPPED,
    RESCUE,
    RESIZE,
    RESIZE_AWAY,
    RESUME,
    REVERT_RESIZE,
    SHELVE,
    START,
    STOP,
    SUSPEND,
    TRIGGER_CRASH_DUMP,
    UNDO_RESIZE,
    UNPAUSE,
    UNRESCUE,
    UNSHELVE,
    UNSHELVE_HERE,
)


@dataclass(frozen=True)
class State:
    """How a server is shown: Nova's words, and its number of the power state."""

    status: str
    vm_state: str
    power_state: int


ACTIVE = State("ACTIVE", "active", 1)
PAUSED = State("PAUSED", "paused", 3)
STOPPED = State("SHUTOFF", "stopped", 4)
SUSPENDED = State("SUSPENDED", "suspended", 4)
RESCUED = State("RESCUE", "rescued", 1)
#: Its guest is as it was before the resize: on, or off.
RESIZED = State("VERIFY_RESIZE", "resized", 1)
SHELVED = State("SHELVED", "shelved", 4)
OFFLOADED = State("SHELVED_OFFLOADED", "shelved_offloaded", 4)

#: vm_state -> the status that goes with it when nothing is being done
_STATUS = {
    state.vm_state: state.status
    for state in (ACTIVE, PAUSED, STOPPED, SUSPENDED, RESCUED, RESIZED, SHELVED, OFFLOADED)
} | {"error": "ERROR"}


@dataclass(frozen=True)
class Action:
    """One row: what a server's vm_state must be, and what becomes of the server."""

    allowed: Collection[str]
    task_state: str | None
    #: None: the server is in the end what it was before.
    end: State | None
    #: Shown instead of the status while it lasts; empty: the status stays.
    status: str = ""
    #: Stage -> the task_state that is shown from its beginning on.
    steps: Mapping[str, str] = field(default_factory=dict)


_SPAWNING = ("build_resources", "define_domain", "launch", "poll_boot")
_REBUILDING = dict.fromkeys(_SPAWNING, "rebuild_spawning") | {"shut_down": "powering-off"}
_RESIZING = {
    "shut_down": "resize_migrating",
    "keep_disks": "resize_migrating",
    "reshape": "resize_finish",
    "power_on": "resize_finish",
}
_MOVING = {
    "shut_down": "resize_migrating",
    "move": "resize_migrated",
    "clear": "resize_finish",
}
#: Those in which a server has a disk that nothing is being done to.
_AT_HAND = frozenset({"active", "stopped", "paused", "suspended"})
_SHELVING = {
    "take_snapshot": "shelving_image_pending_upload",
    "send_image": "shelving_image_uploading",
}
_UPLOADING = {"take_snapshot": "image_pending_upload", "send_image": "image_uploading"}

ACTIONS: dict[str, Action] = {
    START: Action({"stopped"}, "powering-on", ACTIVE),
    STOP: Action({"active", "error"}, "powering-off", STOPPED),
    REBOOT: Action({"active"}, "rebooting", ACTIVE, "REBOOT"),
    HARD_REBOOT: Action(
        {"active", "stopped", "paused", "suspended", "error", "rescued"},
        "rebooting_hard",
        ACTIVE,
        "HARD_REBOOT",
    ),
    PAUSE: Action({"active"}, "pausing", PAUSED),
    UNPAUSE: Action({"paused"}, "unpausing", ACTIVE),
    SUSPEND: Action({"active"}, "suspending", SUSPENDED),
    RESUME: Action({"suspended"}, "resuming", ACTIVE),
    REBUILD: Action({"active", "stopped", "error"}, "rebuilding", ACTIVE, "REBUILD", _REBUILDING),
    REBUILD_STOPPED: Action({"stopped"}, "rebuilding", STOPPED, "REBUILD", _REBUILDING),
    EVACUATE: Action({"active", "stopped", "error"}, "rebuilding", ACTIVE, "REBUILD", _REBUILDING),
    EVACUATE_STOPPED: Action({"stopped"}, "rebuilding", STOPPED, "REBUILD", _REBUILDING),
    SHELVE: Action(_AT_HAND, "shelving", SHELVED, steps=_SHELVING),
    OFFLOAD: Action({"shelved"}, "shelving_offloading", OFFLOADED),
    UNSHELVE: Action({"shelved", "shelved_offloaded"}, "unshelving", ACTIVE),
    UNSHELVE_HERE: Action({"shelved"}, "unshelving", ACTIVE),
    CREATE_IMAGE: Action(_AT_HAND, "image_snapshot", None, steps=_UPLOADING),
    CREATE_BACKUP: Action(_AT_HAND, "image_backup", None, steps=_UPLOADING),
    RESCUE: Action({"active", "stopped", "error"}, "rescuing", RESCUED),
    UNRESCUE: Action({"rescued"}, "unrescuing", ACTIVE),
    # As in Nova, none of these has a task_state.
    TRIGGER_CRASH_DUMP: Action({"active", "paused", "rescued", "resized", "error"}, None, None),
    ATTACH_INTERFACE: Action({"active", "paused", "stopped"}, None, None),
    DETACH_INTERFACE: Action({"active", "paused", "stopped"}, None, None),
    CHANGE_ADDRESSES: Action({"active", "paused", "stopped"}, None, None),
    CHANGE_PASSWORD: Action({"active"}, "updating_password", ACTIVE, "PASSWORD"),
    RESIZE: Action({"active", "stopped"}, "resize_prep", RESIZED, "RESIZE", _RESIZING),
    RESIZE_AWAY: Action({"active", "stopped"}, "resize_prep", RESIZED, "RESIZE", _MOVING),
    MIGRATE: Action({"active", "stopped"}, "resize_prep", RESIZED, "RESIZE", _MOVING),
    CONFIRM_RESIZE: Action({"resized"}, "resize_confirming", ACTIVE),
    REVERT_RESIZE: Action({"resized"}, "resize_reverting", ACTIVE, "REVERT_RESIZE"),
    UNDO_RESIZE: Action((), "resize_reverting", ACTIVE),
}

#: (pipeline, vm_state) -> the pipeline by which a server in that state is led to the same end.
_FOR_STATE = {
    (REBUILD, "stopped"): REBUILD_STOPPED,
    (EVACUATE, "stopped"): EVACUATE_STOPPED,
    (UNSHELVE, "shelved"): UNSHELVE_HERE,
}

#: pipeline -> Nova's word, where it is another, or one for several
_WORDS = {
    HARD_REBOOT: REBOOT,
    REBUILD_STOPPED: REBUILD,
    EVACUATE_STOPPED: EVACUATE,
    UNSHELVE_HERE: UNSHELVE,
    OFFLOAD: "shelveOffload",
    CREATE_IMAGE: "createImage",
    CREATE_BACKUP: "createBackup",
    RESIZE_AWAY: RESIZE,
    CONFIRM_RESIZE: "confirmResize",
    REVERT_RESIZE: "revertResize",
}


def word(pipeline: str) -> str:
    """Return what Nova calls the action."""
    return _WORDS.get(pipeline, pipeline)


def pipeline_for(pipeline: str, vm_state: str) -> str:
    """Return the pipeline that does the same to a server in that state."""
    return _FOR_STATE.get((pipeline, vm_state), pipeline)


def task_state_at(pipeline: str, stage: str) -> str | None:
    """Return what the server's task state is at a stage, if that is another than the action's."""
    action = ACTIONS.get(pipeline)
    return action.steps.get(stage) if action else None


def shown_as(vm_state: str) -> tuple[str, str]:
    """Return status and vm_state of a server of which nothing else is known."""
    return _STATUS[vm_state], vm_state


def show_begun(server: Server, pipeline: str) -> None:
    """Show that the action has begun."""
    action = ACTIONS[pipeline]
    server.task_state = action.task_state
    server.status = action.status or server.status


def show_done(session: Session, server: Server, run: Run) -> None:
    """Show what the action has made of the server. What was wrong with it is over."""
    server.task_state = None
    if (end := ACTIONS[run.pipeline].end) is None:
        return
    if run.pipeline == HARD_REBOOT and server.vm_state == RESCUED.vm_state:
        # Its domain is the rescue's, and stays so.
        end = RESCUED
    show(server, end)
    forget_fault(session, server)


def forget_fault(session: Session, server: Server) -> None:
    """What was wrong with the server is over."""
    if server.fault is not None:
        session.delete(server.fault)


def show(server: Server, state: State) -> None:
    """Show the server in a state, with nothing being done to it."""
    server.status, server.vm_state, server.power_state = (
        state.status,
        state.vm_state,
        state.power_state,
    )
    server.task_state = None


def show_failed(server: Server) -> None:
    """Show the server as before: what the action left undone is the survey's to find."""
    server.task_state = None
    server.status = _STATUS.get(server.vm_state, server.status)
