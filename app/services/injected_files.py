"""Files that a new guest is to find, which its first-boot program takes from the config drive: what
a project may have of them."""

import base64
from collections.abc import Sequence

from app.db.models import Project
from tasks.errors import QuotaExceeded, RequestError
from tasks.messages import InjectedFile


def check(project: Project, files: Sequence[InjectedFile], *, config_drive: bool) -> None:
    """Raise QuotaExceeded for more or larger files than the project may have, and RequestError
    where nothing would be written: cloud-init takes files from a config drive only."""
    if files and not config_drive:
        raise RequestError("personality: needs a config drive, which the server does not have.")
    if _is_over(len(files), project.quota_injected_files):
        raise QuotaExceeded("Personality file limit exceeded")
    path_bytes = max((len(file.path.encode()) for file in files), default=0)
    if _is_over(path_bytes, most := project.quota_injected_file_path_bytes):
        raise QuotaExceeded(f"Personality file path exceeds maximum {most}")
    content_bytes = max((len(base64.b64decode(file.contents)) for file in files), default=0)
    if _is_over(content_bytes, most := project.quota_injected_file_content_bytes):
        raise QuotaExceeded(f"Personality file content exceeds maximum {most}")


def kept(files: Sequence[InjectedFile]) -> list[dict[str, str]]:
    """Return what the request spec keeps of them."""
    return [file.model_dump() for file in files]


def _is_over(number: int, limit: int) -> bool:
    return 0 <= limit < number
