"""The file by which OpenStack's clients find Byre: clouds.yaml, readable by its owner only."""

import os
from pathlib import Path
from typing import Any

import yaml

from app.services.bootstrap import Account


def known_passwords(path: Path) -> dict[str, str]:
    """Return user name -> password of a file that was written before; none if there is none."""
    if not path.exists():
        return {}
    clouds = (yaml.safe_load(path.read_text()) or {}).get("clouds", {})
    logins = [cloud.get("auth", {}) for cloud in clouds.values()]
    return {auth["username"]: auth["password"] for auth in logins if "password" in auth}


def write(path: Path, accounts: dict[str, Account], auth_url: str, region: str) -> None:
    """Write the file with these clouds (name -> account); other clouds in it stay."""
    document = (yaml.safe_load(path.read_text()) if path.exists() else None) or {}
    clouds = document.setdefault("clouds", {})
    for name, account in accounts.items():
        clouds[name] = _cloud(account, auth_url, region)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    # Made with the right mode: no moment at which others could read it.
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        yaml.safe_dump(document, file, sort_keys=False)
    partial.replace(path)


def _cloud(account: Account, auth_url: str, region: str) -> dict[str, Any]:
    return {
        "auth": {
            "auth_url": auth_url,
            "username": account.user,
            "password": account.password,
            "project_name": account.project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": region,
        "identity_api_version": "3",
    }
