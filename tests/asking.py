"""Ask for an action as the API does, whatever it needs to be told."""

from collections.abc import Callable

from app.services import (
    evacuating,
    guest_passwords,
    moving,
    ports,
    rescues,
    resizing,
    server_actions,
    server_interfaces,
    shelving,
    snapshots,
)
from app.services.context import Caller, Context
from app.services.server_networks import Interface
from app.services.snapshots import NewSnapshot
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
    MIGRATE,
    RESCUE,
    RESIZE,
    REVERT_RESIZE,
    SHELVE,
)


def ask(
    context: Context, caller: Caller, server_id: str, pipeline: str, flavor_id: str = ""
) -> None:
    """Begin the pipeline's action; a resize is to the flavor. Raises what that raises."""
    if pipeline == RESIZE:
        resizing.resize(context, caller, server_id, flavor_id)
    elif pipeline in _SERVICES:
        _SERVICES[pipeline](context, caller, server_id)
    else:
        server_actions.begin(context, caller, server_id, pipeline)


def _create_image(context: Context, caller: Caller, server_id: str) -> None:
    snapshots.create_image(context, caller, server_id, _NEW)


def _create_backup(context: Context, caller: Caller, server_id: str) -> None:
    snapshots.create_backup(context, caller, server_id, _NEW, backup_type="daily", rotation=1)


def _change_password(context: Context, caller: Caller, server_id: str) -> None:
    guest_passwords.change(context, caller, server_id, "a new one")


def _attach(context: Context, caller: Caller, server_id: str) -> None:
    server_interfaces.attach(context, caller, server_id, Interface())


def _detach(context: Context, caller: Caller, server_id: str) -> None:
    """The server's last interface, if it has one."""
    for port in ports.of_server(context, server_id)[-1:]:
        server_interfaces.detach(context, caller, server_id, port.id)


def _add_address(context: Context, caller: Caller, server_id: str) -> None:
    """On the network of the server's last interface, if it has one."""
    for port in ports.of_server(context, server_id)[-1:]:
        server_interfaces.add_address(context, caller, server_id, port.network_id)


_NEW = NewSnapshot("a copy", {"mark": "mine"})
_SERVICES: dict[str, Callable[[Context, Caller, str], object]] = {
    ATTACH_INTERFACE: _attach,
    CHANGE_ADDRESSES: _add_address,
    CHANGE_PASSWORD: _change_password,
    CONFIRM_RESIZE: resizing.confirm,
    CREATE_BACKUP: _create_backup,
    CREATE_IMAGE: _create_image,
    DETACH_INTERFACE: _detach,
    EVACUATE: evacuating.evacuate,
    EVACUATE_STOPPED: evacuating.evacuate,
    MIGRATE: moving.migrate,
    RESCUE: rescues.begin,
    REVERT_RESIZE: resizing.revert,
    SHELVE: shelving.shelve,
}
