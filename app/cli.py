"""The operator's command, `byre`. It works on the database directly: no API need run."""

import hashlib
import os
from pathlib import Path
from typing import Annotated

import typer

from app import cli_accounts
from app.cli_context import end, open_context, read_settings
from app.db.migrations import upgrade
from app.db.session import make_engine
from app.services import bootstrap, clouds_file, hypervisors, importing, projects, retiring
from app.services.bootstrap import Account, FirstNetwork
from app.services.images import NewImage

# A stack trace with local variables would show secrets.
byre = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Operate Byre.",
)
groups = {
    name: typer.Typer(no_args_is_help=True, help=text)
    for name, text in (
        ("db", "The database's tables."),
        ("image", "Images."),
        ("network", "Networks."),
        ("host", "Hypervisors."),
        ("settings", "Settings."),
    )
}
groups |= cli_accounts.groups
for group_name, group in groups.items():
    byre.add_typer(group, name=group_name)


@groups["settings"].command("check")
def checkread_settings() -> None:
    """Say whether the control plane's settings are right; secrets are masked."""
    for key, value in read_settings().model_dump().items():
        print(f"{key} = {value}")


@groups["db"].command("upgrade")
def upgrade_database() -> None:
    """Bring the database's tables up to date. Can be repeated."""
    url = read_settings().database_url
    path = make_engine(url.get_secret_value()).url.database
    if url.get_secret_value().startswith("sqlite") and path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = make_engine(url.get_secret_value(), pool_size=1)
    upgrade(engine)
    engine.dispose()
    print("The database is up to date.")


@byre.command("bootstrap")
def bootstrap_all(
    clouds: Annotated[Path, typer.Option(help="clouds.yaml to write, for the clients")],
    auth_url: Annotated[
        str, typer.Option(help="where the clients find identity")
    ] = "http://127.0.0.1:8774/identity/v3",
    cidr: Annotated[str, typer.Option(help="addresses of the network `private`")] = "10.77.0.0/24",
    dns: Annotated[list[str] | None, typer.Option(help="name server; may be repeated")] = None,
) -> None:
    """Make projects, users, flavors and a network, unless they are there. Can be repeated.

    Passwords come from BYRE_BOOTSTRAP_ADMIN_PASSWORD and BYRE_BOOTSTRAP_DEMO_PASSWORD, or from the
    file as it was, or are made up.
    """
    known = clouds_file.known_passwords(clouds)
    with open_context() as context:
        demo, admin = bootstrap.bootstrap(
            context.sessions,
            context.settings,
            FirstNetwork("private", cidr, tuple(dns or ())),
            admin_password=os.environ.get("BYRE_BOOTSTRAP_ADMIN_PASSWORD"),
            demo_password=os.environ.get("BYRE_BOOTSTRAP_DEMO_PASSWORD"),
        )
        accounts = {
            "byre": _with_password(demo, known),
            "byre-admin": _with_password(admin, known),
        }
        clouds_file.write(clouds, accounts, auth_url, context.settings.region)
    print(f"{clouds}: the clouds byre (a user) and byre-admin (the operator)")


def _with_password(account: Account, known: dict[str, str]) -> Account:
    password = account.password or known.get(account.user)
    if password is None:
        end(
            f"the password of {account.user} is not known here;"
            f" set BYRE_BOOTSTRAP_{account.user.upper()}_PASSWORD to give a new one"
        )
    return Account(account.user, account.project, password)


@groups["image"].command("import")
def import_image(
    file: Path,
    name: Annotated[str, typer.Option()],
    disk_format: Annotated[str, typer.Option(help="qcow2, raw or iso")] = "qcow2",
    public: Annotated[  # noqa: FBT002 - a flag of a command line
        bool, typer.Option("--public", help="for all projects")
    ] = False,
    properties: Annotated[
        list[str] | None, typer.Option("--property", help="KEY=VALUE; may be repeated")
    ] = None,
) -> None:
    """Bring an image in; prints its id. The same bytes under the same name are not kept twice."""
    new = NewImage(
        name=name,
        visibility="public" if public else "private",
        disk_format=disk_format,
        container_format="bare",
        properties=dict(_pair(text) for text in properties or []),
    )
    with open_context() as context:
        with file.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
        print(importing.import_image(context, file, new, digest))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        end(f"--property {text}: must be KEY=VALUE")
    return key, value


@groups["network"].command("create")
def create_network(
    name: str,
    cidr: Annotated[str, typer.Option(help="IPv4 block, from a /16 to a /30")],
    dns: Annotated[list[str] | None, typer.Option(help="name server; may be repeated")] = None,
    mtu: Annotated[int | None, typer.Option(min=1280, max=9216)] = None,
    project: Annotated[
        str | None, typer.Option(help="the only project to use it; by default all do")
    ] = None,
) -> None:
    """Make a network with one subnet; prints its id. Hosts make theirs when a server needs it."""
    with open_context() as context, context.sessions.begin() as session:
        owner = projects.ensure(session, context.settings, project or "admin")
        new = FirstNetwork(name, cidr, tuple(dns or ()), shared=project is None, mtu=mtu)
        print(bootstrap.add_network(session, context.settings, owner, new).id)


@groups["host"].command("enable")
def enable_host(name: str) -> None:
    """Let a hypervisor get new servers."""
    with open_context() as context:
        hypervisors.set_enabled(context, name, enabled=True)
    print(f"{name} gets new servers.")


@groups["host"].command("disable")
def disable_host(name: str, reason: Annotated[str | None, typer.Option()] = None) -> None:
    """Give a hypervisor no new server; those that it has stay."""
    with open_context() as context:
        hypervisors.set_enabled(context, name, enabled=False, reason=reason)
    print(f"{name} gets no new server; those that it has stay.")


@groups["host"].command("forget")
def forget_host(name: str) -> None:
    """Remove a hypervisor that will not come back; its servers end in ERROR."""
    with open_context() as context:
        gone = retiring.forget(context, name)
    print(f"{name} is forgotten: {gone.servers} servers in ERROR, {gone.owed} removals void.")


def main() -> None:
    """Run the command."""
    byre()


if __name__ == "__main__":
    main()
