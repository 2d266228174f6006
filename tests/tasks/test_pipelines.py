"""The table of stages agrees with the modules, the workers and the values that flow."""

import importlib
import typing
from pathlib import Path

import pytest

import tasks.compute
import tasks.control
from config.queues import make_router
from tasks.messages import (
    BuildSpec,
    DiskUploads,
    Grace,
    ImageUpload,
    Kept,
    Move,
    Outline,
    Password,
    Placement,
    PortsRef,
    ShapeSpec,
    Value,
    Wiring,
)
from tasks.pipelines import (
    CHANGE_PASSWORD,
    COMPUTE_STAGES,
    CREATE,
    DISCARD_SNAPSHOT,
    EVACUATIONS,
    MOVES,
    PIPELINES,
    PLACING,
    PLUGGING,
    REBOOT,
    REBUILDS,
    RESCUE,
    RESIZES,
    SHELVE,
    SNAPSHOTS,
    STOP,
    UNRESCUE,
    Side,
    Stage,
    stages_of,
)
from tasks.runner import inputs_of

ALL_STAGES = [stage for stages in PIPELINES.values() for stage in stages]


def module_of(stage: Stage) -> typing.Any:
    return importlib.import_module(f"tasks.{stage.side}.{stage.name}")


def test_create_is_the_six_stages_in_order() -> None:
    assert [(stage.name, stage.side) for stage in stages_of(CREATE)] == [
        ("validate", Side.CONTROL),
        ("schedule", Side.CONTROL),
        ("build_resources", Side.COMPUTE),
        ("define_domain", Side.COMPUTE),
        ("launch", Side.COMPUTE),
        ("poll_boot", Side.COMPUTE),
    ]


@pytest.mark.parametrize("stage", ALL_STAGES, ids=lambda stage: stage.name)
def test_every_stage_has_a_module_that_tells_effect_repeat_and_undo(stage: Stage) -> None:
    module = module_of(stage)

    text = module.__doc__
    assert f"stage {stage.name}. Side: {stage.side}." in text
    assert all(word in text for word in ("\nEffect ", "\nRepeat ", "\nUndo "))
    assert callable(module.do)


def test_compute_stages_of_create_can_be_undone() -> None:
    unwind = importlib.import_module("tasks.compute.unwind")
    compute = [stage for stage in stages_of(CREATE) if stage.side is Side.COMPUTE]

    assert [module_of(stage).undo for stage in reversed(compute)] == list(unwind.UNDOS)


#: Pipelines -> what their messages hold from the start on, beside the ports.
TOLD: list[tuple[frozenset[str], dict[str, type[Value]]]] = [
    (frozenset({STOP, REBOOT, SHELVE}) | REBUILDS | EVACUATIONS | RESIZES, {"grace": Grace}),
    (EVACUATIONS, {"kept": Kept}),
    (RESIZES - MOVES, {"shape": ShapeSpec}),
    (MOVES, {"uploads": DiskUploads, "kept": Kept}),
    (REBUILDS, {"kept": Kept, "build": BuildSpec}),
    (SNAPSHOTS | {DISCARD_SNAPSHOT}, {"upload": ImageUpload}),
    (frozenset({RESCUE}), {"build": BuildSpec, "grace": Grace}),
    (frozenset({CHANGE_PASSWORD}), {"password": Password}),
    (frozenset({UNRESCUE}), {"outline": Outline}),
    (PLUGGING, {"wiring": Wiring}),
]


#: What chooses a host -> what travels on of it.
_TOLD_BY: dict[object, type[Value]] = {Placement: BuildSpec, Move: ShapeSpec}


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_input_is_given_by_an_earlier_stage(pipeline: str) -> None:
    # What removes things starts with the ports that the control plane put into the message.
    there: dict[str, type[Value]] = {} if pipeline in PLACING else {"ports": PortsRef}
    for pipelines, told in TOLD:
        there |= told if pipeline in pipelines else {}
    for stage in stages_of(pipeline):
        module = module_of(stage)
        own = {stage.output: typing.get_type_hints(module.do)["return"]} if stage.output else {}
        for name, wanted in inputs_of(module).items():
            assert {**there, **own}.get(name) is wanted, f"{stage.name} lacks {name}"
        for name, given in own.items():
            there[name] = _TOLD_BY.get(given, given)
        there = {name: kind for name, kind in there.items() if name not in stage.drops}


def test_compute_stages_go_to_the_host_in_the_message_and_nothing_else_does() -> None:
    route = make_router(COMPUTE_STAGES)
    message = {"job": {"host": "rack1.example"}}

    for stage in ALL_STAGES:
        queue = "control" if stage.side is Side.CONTROL else "compute.rack1.example"
        assert route(stage.name, (message,), {}, {}) == {"queue": queue}
    assert route("report", (message,)) == {"queue": "control"}
    assert route("heartbeat", (message,)) == route("sweep") == {"queue": "pulse"}


@pytest.mark.parametrize("args", [(), None, ({"job": {"host": None}},), ("text",)])
def test_compute_stage_without_a_host_is_never_queued(args: typing.Any) -> None:
    with pytest.raises(ValueError, match="launch has no host"):
        make_router(COMPUTE_STAGES)("launch", args)


def test_no_stage_module_is_outside_the_table() -> None:
    for side, package in ((Side.CONTROL, tasks.control), (Side.COMPUTE, tasks.compute)):
        files = {path.stem for path in Path(package.__path__[0]).glob("*.py")}
        named = {stage.name for stage in ALL_STAGES if stage.side is side}
        assert files - {"__init__", "store", "ledger", "reports"} == named
