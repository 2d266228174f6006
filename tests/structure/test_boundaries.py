"""The border between hypervisors and the database, held by machine."""

import subprocess
import sys
import textwrap

from tasks.pipelines import COMPUTE_STAGES

BLOCKED = (
    "app",
    "sqlalchemy",
    "alembic",
    "psycopg",
    "flask",
    "flask_smorest",
    "argon2",
    "tasks.control",
)


def test_compute_worker_starts_without_the_control_planes_code() -> None:
    """The worker is imported and given its tasks in a process where that code does not exist."""
    program = f"""
        import sys

        class Wall:
            def find_spec(self, name, path=None, target=None):
                if any(name == b or name.startswith(b + ".") for b in {BLOCKED!r}):
                    raise ImportError("blocked: " + name)

        sys.meta_path.insert(0, Wall())
        import tempfile, pathlib
        from config.settings import load_compute
        from workers.compute import make_hypervisor, make_worker
        from workers.hypervisor.journal import Journal

        with tempfile.TemporaryDirectory() as directory:
            settings = load_compute({{"BYRE_DRIVER": "fake", "BYRE_STATE_DIR": directory}})
            journal = Journal(pathlib.Path(directory))
            worker = make_worker(settings, make_hypervisor(settings), journal)
        import workers.hypervisor.libvirt
        print(sorted(name for name in worker.celery.tasks if "." not in name))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    orders = [
        *["canary", "describe_domain", "diagnose", "fabric", "forget_passwords"],
        *["open_console", "read_console", "tidy", "warm_cache"],
    ]
    assert done.stdout.strip() == str(sorted([*COMPUTE_STAGES, *orders]))


def test_wall_itself_stands() -> None:
    """The control plane does need what the wall blocks; otherwise the test above proves nothing."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, workers.control; print('sqlalchemy' in sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == "True"
