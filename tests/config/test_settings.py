"""Settings: read once, typed, and a wrong one names its key."""

import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import (
    EXIT_CONFIG,
    SettingsError,
    load_compute,
    load_control,
)

SECRET = {"BYRE_SECRET_KEY": "k" * 32}


def test_defaults_need_only_the_secret() -> None:
    settings = load_control(dict(SECRET))

    assert settings.api_bind == "127.0.0.1:8774"
    assert settings.memory_overcommit == 1.0


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "secret_key (BYRE_SECRET_KEY): Field required"),
        ({**SECRET, "BYRE_API_THREADS": "none"}, "api_threads (BYRE_API_THREADS)"),
        ({**SECRET, "BYRE_TOKEN_LIFETIME_S": "3"}, "token_lifetime_s (BYRE_TOKEN_LIFETIME_S)"),
        ({**SECRET, "BYRE_LOG_LEVEL": "LOUD"}, "log_level (BYRE_LOG_LEVEL)"),
        ({**SECRET, "BYRE_CPU_OVERCOMIT": "2"}, "BYRE_CPU_OVERCOMIT: no setting has this name"),
        ({**SECRET, "BYRE_CONFIG": "/nowhere.toml"}, "BYRE_CONFIG: /nowhere.toml"),
    ],
)
def test_wrong_setting_names_its_key(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_control(environ)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_file_gives_common_keys_and_the_roles_own_table(tmp_path: Path) -> None:
    file = tmp_path / "byre.toml"
    file.write_text('log_level = "DEBUG"\n[control]\napi_threads = 3\n[compute]\nhost = "h1"\n')
    environ = {"BYRE_CONFIG": str(file)}

    assert load_control({**environ, **SECRET}).api_threads == 3
    assert load_compute(environ).host == "h1"
    assert load_compute(environ).log_level == "DEBUG"


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "byre.toml"
    file.write_text("[control]\napi_threads = 3\n")
    monkeypatch.setenv("BYRE_CONFIG", str(file))
    monkeypatch.setenv("BYRE_API_THREADS", "5")
    monkeypatch.setenv("BYRE_SECRET_KEY", "k" * 32)

    assert load_control().api_threads == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[control]\napi_thread = 3\n", "api_thread"),
        ("[controll]\napi_threads = 3\n", "[controll]"),
        ("= 3\n", "BYRE_CONFIG"),
    ],
)
def test_unknown_key_in_the_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "byre.toml"
    file.write_text(text)

    with pytest.raises(SettingsError) as caught:
        load_control({**SECRET, "BYRE_CONFIG": str(file)})

    assert words in str(caught.value)


def test_hypervisor_refuses_to_know_the_database() -> None:
    with pytest.raises(SettingsError, match="BYRE_DATABASE_URL"):
        load_compute({"BYRE_DATABASE_URL": "sqlite://"})


def test_secrets_are_masked_when_shown() -> None:
    settings = load_control({**SECRET, "BYRE_BROKER_URL": "redis://:hunter2@127.0.0.1/0"})

    assert "hunter2" not in repr(settings)
    assert "k" * 32 not in repr(settings)


def test_process_ends_with_one_line_and_its_own_code() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "workers.compute"],
        env={"BYRE_COMPUTE_THREADS": "0", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == EXIT_CONFIG
    assert ended.stderr.startswith("byre: wrong setting: compute_threads (BYRE_COMPUTE_THREADS)")
    assert ended.stderr.count("\n") == 1


def test_vendor_data_is_read_at_the_start_and_must_be_json(tmp_path: Path) -> None:
    file = tmp_path / "vendor.json"
    environ = {**SECRET, "BYRE_VENDOR_DATA_FILE": str(file)}
    file.write_text('{"cloud-init": "#cloud-config\\n{}"}')
    settings = load_control(environ)
    file.write_text("{")

    assert settings.vendor_data == '{"cloud-init": "#cloud-config\\n{}"}'
    assert load_control(dict(SECRET)).vendor_data == ""
    for content in ("{", f'"{"x" * 65536}"'):
        file.write_text(content)
        with pytest.raises(SettingsError, match="vendor_data_file") as caught:
            load_control(environ)
        assert "\n" not in str(caught.value)
    file.unlink()
    with pytest.raises(SettingsError, match="vendor_data_file"):
        load_control(environ)
