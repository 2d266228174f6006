"""Names of users and projects, wherever they come from."""

from tasks.errors import RequestError

#: The columns' width.
PROJECT_NAME, USER_NAME = 64, 255


def check_name(name: str, most: int) -> None:
    """Raise RequestError for a name that nobody could type or that does not fit."""
    if not 1 <= len(name) <= most:
        raise RequestError(f"name: must be 1 to {most} characters long.")
    if name != name.strip() or not name.isprintable():
        raise RequestError("name: must be printable, without a blank before or after it.")
