"""The settings file of the stack: written once, private, and understood by every process."""

from pathlib import Path

import pytest

from config.settings import load_common, load_compute, load_control
from deploy.stack.layout import Layout, read_layout
from deploy.stack.settings import ensure_settings, read_settings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return read_layout(
        {
            "BYRE_STACK_DIR": str(tmp_path / "home"),
            "BYRE_STACK_HOST_DIR": str(tmp_path / "host"),
            "BYRE_STACK_DRIVER": "fake",
            "BYRE_STACK_API_PORT": "18001",
            "BYRE_STACK_REDIS_PORT": "18002",
        }
    )


def test_every_process_accepts_the_file(layout: Layout) -> None:
    written = ensure_settings(layout)
    environ = {"BYRE_CONFIG": str(layout.config)}

    control, compute = load_control(environ), load_compute(environ)
    assert control.api_bind == written.api_address == "127.0.0.1:18001"
    assert control.internal_api_url == "http://127.0.0.1:18001"
    assert control.database_url.get_secret_value() == f"sqlite:///{layout.home}/byre.db"
    assert compute.driver == written.driver == "fake"
    assert compute.storage_dir == layout.host_dir / "storage"
    broker = load_common(environ).broker_url.get_secret_value()
    assert broker == f"redis://:{written.redis_password}@127.0.0.1:18002/0"


def test_only_its_owner_can_read_it(layout: Layout) -> None:
    ensure_settings(layout)
    assert layout.config.stat().st_mode & 0o777 == 0o600
    assert layout.home.stat().st_mode & 0o777 == 0o700


def test_secrets_are_made_once_and_differ_between_stacks(tmp_path: Path, layout: Layout) -> None:
    first = ensure_settings(layout)
    text = layout.config.read_text()
    assert ensure_settings(layout) == first
    assert layout.config.read_text() == text

    other = ensure_settings(read_layout({"BYRE_STACK_DIR": str(tmp_path / "other")}))
    assert other.redis_password != first.redis_password
    assert len(first.redis_password) >= 32


def test_what_the_operator_changes_in_the_file_is_what_counts(layout: Layout) -> None:
    ensure_settings(layout)
    layout.config.write_text(layout.config.read_text().replace(":18001", ":18003"))
    assert read_settings(layout).api_port == 18003


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[control]\napi_bind = "127.0.0.1:1"', "broker_url"),
        ('broker_url = "amqp://somewhere"\n[control]\napi_bind = "127.0.0.1:1"', "broker_url"),
        ('broker_url = "redis://:x@127.0.0.1:1/0"', "api_bind"),
        (
            'broker_url = "redis://:x@h:1/0"\n[control]\napi_bind = "h:1"\nconsole_bind = "h"',
            "console_bind",
        ),
    ],
)
def test_a_file_that_the_stack_cannot_run_by_names_its_key(
    layout: Layout, text: str, key: str
) -> None:
    layout.home.mkdir()
    layout.config.write_text(text)
    with pytest.raises(ValueError, match=key):
        read_settings(layout)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BYRE_STACK_API_PORT", "http"),
        ("BYRE_STACK_REDIS_PORT", "70000"),
        ("BYRE_STACK_FLOWER_PORT", "0"),
        ("BYRE_STACK_DRIVER", "xen"),
    ],
)
def test_a_wrong_choice_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        read_layout({name: value})
