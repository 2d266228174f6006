"""What each part of Byre imports is what its extra installs: elsewhere nothing else is there."""

import json
import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

#: Extra -> the programs and packages that it is installed for.
PARTS = {
    "compute": ["workers.compute", "workers.gate", "workers.hypervisor", "workers.metadata"],
    "control": ["app", "workers.control", "workers.beat", "workers.console"],
    "flower": ["workers.flower"],
}

OURS = {"app", "bench", "config", "tasks", "tests", "workers"}

#: Imports the parts, all that their modules import anywhere, also later and in functions, and
#: nothing of a package that is absent. Prints the modules of ours that were looked at.
PROGRAM = """
import ast, importlib, importlib.abc, json, pkgutil, sys
from pathlib import Path

parts, ours, absent = json.loads(sys.argv[1])

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())

def whole(name):
    module = importlib.import_module(name)
    for below in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        if "migrations" not in below.name:
            importlib.import_module(below.name)

def named(module):
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module

for part in parts:
    whole(part)
done = set()
while todo := {name for name in sys.modules if name.partition(".")[0] in ours} - done:
    for name in todo:
        for imported in named(sys.modules[name]):
            importlib.import_module(imported)
    done |= todo
print(json.dumps(sorted(done)))
"""


def closure(extra: str) -> set[str]:
    """Return the names of all distributions that `byre[extra]` installs."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    todo = asked([*project["dependencies"], *project["optional-dependencies"][extra]], "")
    found: set[tuple[str, str]] = set()
    while todo:
        one = name, wanted = todo.pop()
        found.add(one)
        with suppress(PackageNotFoundError):  # it is for another system or Python
            todo |= asked(distribution(name).requires or [], wanted) - found
    return {normalized(name) for name, _ in found}


def asked(lines: list[str], wanted: str) -> set[tuple[str, str]]:
    """Return names and extras, "" for none, of what is required here for an extra."""
    return {
        (requirement.name, extra)
        for requirement in map(Requirement, lines)
        if requirement.marker is None or requirement.marker.evaluate({"extra": wanted})
        for extra in ("", *requirement.extras)
    }


def normalized(name: str) -> str:
    """Return the name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("extra", PARTS)
def test_an_extra_has_all_that_its_part_imports(extra: str) -> None:
    installed = closure(extra)
    absent = [
        top
        for top, names in packages_distributions().items()
        if top not in OURS and not installed & {normalized(name) for name in names}
    ]
    given = json.dumps([PARTS[extra], sorted(OURS), absent])
    command = [sys.executable, "-c", PROGRAM, given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(PARTS[extra]) <= set(json.loads(done.stdout))
