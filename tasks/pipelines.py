"""The pipelines: each an ordered table of stages. The order of steps is written here and only here.

A row says on which side a stage runs, how long it may take (seconds from its first delivery to
its end), and under which name its output travels to the stages after it.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class Side(StrEnum):
    """Where a stage runs: beside the database, or on the hypervisor."""

    CONTROL = "control"
    COMPUTE = "compute"


@dataclass(frozen=True)
class Stage:
    """One link of a chain."""

    name: str
    side: Side
    limit_s: float
    #: Outputs of earlier stages that are not needed after this one, so they stop travelling.
    drops: tuple[str, ...] = ()
    #: The name of this stage's output in the envelope; empty when it gives none.
    output: str = ""
    #: Once for each run on a host, whatever comes late or twice: it takes away what the stages
    #: after it make anew under the same names.
    once: bool = False


CREATE = "create"
DELETE = "delete"
#: Undoes one attempt of a create on the host that it had.
UNWIND = "unwind"
#: A delete's work on a host that was away when the server was deleted: owed, and done later.
PURGE = "purge"
#: What is left of a server on a host that it has moved away from.
VACATE = "vacate"

#: What owners do with a server that is there. These make or remove nothing on the host but what a
#: suspended guest's memory takes, so a failed one leaves nothing to be undone.
START, STOP = "start", "stop"
REBOOT, HARD_REBOOT = "reboot", "hard_reboot"
PAUSE, UNPAUSE = "pause", "unpause"
SUSPEND, RESUME = "suspend", "resume"

#: A server made anew from an image; one that was stopped is stopped again after it.
REBUILD, REBUILD_STOPPED = "rebuild", "rebuild_stopped"

#: A server started from another disk, with its own beside it; and as before again.
RESCUE, UNRESCUE = "rescue", "unrescue"

REBUILDS = frozenset({REBUILD, REBUILD_STOPPED})

#: A server of a host that does not answer made anew on another one, from its image; one that was
#: stopped is stopped again after it.
EVACUATE, EVACUATE_STOPPED = "evacuate", "evacuate_stopped"

EVACUATIONS = frozenset({EVACUATE, EVACUATE_STOPPED})

#: Actions that make disks from an image: they may take as long as a create, and what failed
#: half-way is not as it was.
BUILDING = REBUILDS | EVACUATIONS | {RESCUE}

#: A copy of a server's root disk becomes an image; a backup also takes the place of older ones.
CREATE_IMAGE, CREATE_BACKUP = "create_image", "create_backup"
#: Removes from a host what one of them left there that failed.
DISCARD_SNAPSHOT = "discard_snapshot"

#: A server put away: its disk becomes an image, and then it leaves its host.
SHELVE, OFFLOAD = "shelve", "offload"
#: Taken out again: on any host, from that image; or where it still is, if it has not left.
UNSHELVE, UNSHELVE_HERE = "unshelve", "unshelve_here"

#: Actions that copy a disk, which takes as long as the disk is large. Their run has an `image_id`.
SNAPSHOTS = frozenset({CREATE_IMAGE, CREATE_BACKUP, SHELVE})

#: What chooses a host for a server, and another one if that is at fault.
PLACING = frozenset({CREATE, UNSHELVE})

#: The administrator's password of a guest that runs.
CHANGE_PASSWORD = "changePassword"  # noqa: S105 - Nova's word for it

#: A guest that runs is interrupted, so that its kernel writes its memory down.
TRIGGER_CRASH_DUMP = "trigger_crash_dump"

#: An interface that comes to a server, or leaves it, or gets or gives up an address.
ATTACH_INTERFACE, DETACH_INTERFACE = "attach_interface", "detach_interface"
CHANGE_ADDRESSES = "change_addresses"

#: Actions on one interface. Their run is told which; the server is shown as if nothing was done.
PLUGGING = frozenset({ATTACH_INTERFACE, DETACH_INTERFACE, CHANGE_ADDRESSES})

_POWER = frozenset({START, STOP, REBOOT, HARD_REBOOT, PAUSE, UNPAUSE, SUSPEND, RESUME})
_ONE_STEP = frozenset({UNRESCUE, CHANGE_PASSWORD, TRIGGER_CRASH_DUMP, UNSHELVE, UNSHELVE_HERE})
ACTIONS = BUILDING | SNAPSHOTS | _POWER | PLUGGING | _ONE_STEP

#: What is left of something else on one host, which it waits for: nobody else can do it.
OWED = frozenset({UNWIND, PURGE, VACATE, DISCARD_SNAPSHOT})

#: A server is given another flavor. What it was before is kept until that is confirmed or reverted;
#: one that failed half-way is put back as well (`undo_resize`).
RESIZE = "resize"
CONFIRM_RESIZE, REVERT_RESIZE = "confirm_resize", "revert_resize"
UNDO_RESIZE = "undo_resize"

#: The same on another host, where there is room for it; or with the same flavor, only to be there.
RESIZE_AWAY, MIGRATE = "resize_away", "migrate"
MOVES = frozenset({RESIZE_AWAY, MIGRATE})
#: What ends on another host than it begins on.
JOURNEYS = MOVES | EVACUATIONS
RESIZES = frozenset({RESIZE, CONFIRM_RESIZE, REVERT_RESIZE, UNDO_RESIZE}) | MOVES

#: Pipelines that only take away: owed however late they come, and never given up.
REMOVALS = frozenset({DELETE, OFFLOAD}) | OWED

#: Seconds within which a guest's whole memory is written to the host's disk, or read from it.
_MEMORY_LIMIT_S = 600

#: The same for its root disk. Less than the time after which a broker hands a message out again.
DISK_LIMIT_S = 1500

#: The guest's own time to stop (Grace) ends within this; then its power is cut.
_SHUT_DOWN = Stage("shut_down", Side.COMPUTE, limit_s=900, output="asked")
_POWER_ON = Stage("power_on", Side.COMPUTE, limit_s=_MEMORY_LIMIT_S)
_SNAPSHOT = (
    Stage("take_snapshot", Side.COMPUTE, limit_s=DISK_LIMIT_S),
    Stage("send_image", Side.COMPUTE, limit_s=DISK_LIMIT_S),
)

#: What makes a server on its host, once it is said how.
_BUILD = (
    # The first build of an image on a host downloads it: by far the slowest stage.
    Stage("build_resources", Side.COMPUTE, limit_s=900, output="spec", drops=("build",)),
    Stage("define_domain", Side.COMPUTE, limit_s=60, output="domain", drops=("spec",)),
    Stage("launch", Side.COMPUTE, limit_s=120, output="domain"),
    # Its own deadline comes with the image (BootProof.limit_s); this is the net below it.
    Stage("poll_boot", Side.COMPUTE, limit_s=3600, output="seen", drops=("domain",)),
)
_CLEAR = Stage("clear", Side.COMPUTE, limit_s=300, once=True)
_CUT_POWER = Stage("cut_power", Side.COMPUTE, limit_s=60)
_DEFINE, _LAUNCH = _BUILD[1], _BUILD[2]
_CLEAR_RESCUE = Stage("clear_rescue", Side.COMPUTE, limit_s=300, once=True)

#: Not all of these stages are every server's: app.runs.resizes says which.
_RESHAPE = Stage("reshape", Side.COMPUTE, limit_s=300, drops=("shape",))
_PUT_BACK = (
    Stage("restore_disks", Side.COMPUTE, limit_s=300),
    _RESHAPE,
    _POWER_ON,
    Stage("settle", Side.CONTROL, limit_s=30),
)

#: What leads a server to another host. Where it was, all stays but its interfaces, for a way back.
_MOVE = (
    _SHUT_DOWN,
    Stage("pack_disks", Side.COMPUTE, limit_s=DISK_LIMIT_S, drops=("asked",)),
    Stage("send_disks", Side.COMPUTE, limit_s=DISK_LIMIT_S, drops=("uploads",)),
    Stage("leave", Side.COMPUTE, limit_s=60),
    Stage("move", Side.CONTROL, limit_s=30, output="shape"),
    _CLEAR,
    Stage("fetch_disks", Side.COMPUTE, limit_s=DISK_LIMIT_S),
    _RESHAPE,
    _POWER_ON,
)

_REHOST = Stage("rehost", Side.CONTROL, limit_s=30, output="build")

_TEARDOWN = Stage("teardown", Side.COMPUTE, limit_s=300)
_REMOVE = (_TEARDOWN, Stage("conclude", Side.CONTROL, limit_s=30))

_PLACE = (
    Stage("validate", Side.CONTROL, limit_s=30),
    Stage("schedule", Side.CONTROL, limit_s=30, output="build"),
)

PIPELINES: dict[str, tuple[Stage, ...]] = {
    CREATE: (*_PLACE, *_BUILD),
    DELETE: (
        _TEARDOWN,
        Stage("forget", Side.CONTROL, limit_s=30),
    ),
    UNWIND: (
        Stage("unwind", Side.COMPUTE, limit_s=300),
        Stage("conclude", Side.CONTROL, limit_s=30),
    ),
    PURGE: _REMOVE,
    VACATE: _REMOVE,
    START: (_POWER_ON,),
    STOP: (_SHUT_DOWN,),
    REBOOT: (_SHUT_DOWN, _POWER_ON),
    HARD_REBOOT: (_CUT_POWER, _POWER_ON),
    PAUSE: (Stage("pause", Side.COMPUTE, limit_s=60),),
    UNPAUSE: (_POWER_ON,),
    SUSPEND: (Stage("suspend", Side.COMPUTE, limit_s=_MEMORY_LIMIT_S),),
    RESUME: (_POWER_ON,),
    REBUILD: (_CLEAR, *_BUILD),
    REBUILD_STOPPED: (_CLEAR, *_BUILD, _SHUT_DOWN),
    CREATE_IMAGE: _SNAPSHOT,
    CREATE_BACKUP: _SNAPSHOT,
    SHELVE: (_SHUT_DOWN, *_SNAPSHOT),
    OFFLOAD: (
        _TEARDOWN,
        Stage("let_go", Side.CONTROL, limit_s=30),
    ),
    UNSHELVE: (*_PLACE, *_BUILD),
    UNSHELVE_HERE: (_POWER_ON,),
    DISCARD_SNAPSHOT: (Stage("discard_snapshot", Side.COMPUTE, limit_s=300),),
    CHANGE_PASSWORD: (Stage("set_password", Side.COMPUTE, limit_s=60, drops=("password",)),),
    TRIGGER_CRASH_DUMP: (Stage("crash_dump", Side.COMPUTE, limit_s=60),),
    ATTACH_INTERFACE: (Stage("plug", Side.COMPUTE, limit_s=120, drops=("wiring",)),),
    DETACH_INTERFACE: (
        Stage("unplug", Side.COMPUTE, limit_s=180, drops=("wiring",), output="asked"),
    ),
    CHANGE_ADDRESSES: (Stage("rewire", Side.COMPUTE, limit_s=120, drops=("wiring",)),),
    RESCUE: (
        _SHUT_DOWN,
        _CLEAR_RESCUE,
        Stage("build_rescue", Side.COMPUTE, limit_s=900, output="spec", drops=("build",)),
        _DEFINE,
        _LAUNCH,
    ),
    UNRESCUE: (
        _CUT_POWER,
        Stage("restore_domain", Side.COMPUTE, limit_s=60, output="spec", drops=("outline",)),
        _DEFINE,
        _LAUNCH,
        _CLEAR_RESCUE,
    ),
    RESIZE: (
        _SHUT_DOWN,
        Stage("keep_disks", Side.COMPUTE, limit_s=DISK_LIMIT_S, drops=("asked",)),
        _RESHAPE,
        _POWER_ON,
    ),
    CONFIRM_RESIZE: (
        Stage("drop_disks", Side.COMPUTE, limit_s=300),
        Stage("settle", Side.CONTROL, limit_s=30),
    ),
    REVERT_RESIZE: (
        _TEARDOWN,
        Stage("move_back", Side.CONTROL, limit_s=30, output="shape"),
        *_PUT_BACK,
    ),
    UNDO_RESIZE: _PUT_BACK,
    EVACUATE: (_REHOST, _CLEAR, *_BUILD),
    EVACUATE_STOPPED: (_REHOST, _CLEAR, *_BUILD, _SHUT_DOWN),
    RESIZE_AWAY: _MOVE,
    MIGRATE: _MOVE,
}


#: Routed to the host in the message; everything else is control's.
COMPUTE_STAGES = frozenset(
    stage.name for stages in PIPELINES.values() for stage in stages if stage.side is Side.COMPUTE
)


def stages_of(pipeline: str) -> tuple[Stage, ...]:
    """Return the pipeline's rows in order. Raises KeyError for an unknown one."""
    return PIPELINES[pipeline]


def stage_named(pipeline: str, name: str) -> Stage:
    """Return one row. Raises KeyError if the pipeline has no stage of that name."""
    for stage in PIPELINES[pipeline]:
        if stage.name == name:
            return stage
    raise KeyError(f"{pipeline} has no stage {name}")


def ends_on_host(pipeline: str, name: str) -> bool:
    """Say whether a compute stage is the last one before the pipeline ends or leaves its host."""
    stages = PIPELINES[pipeline]
    following = [after for stage, after in pairwise(stages) if stage.name == name]
    return not following or following[0].side is Side.CONTROL
