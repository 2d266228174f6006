"""Handing out addresses: by constraint no two ports get the same, and no search is long."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_address

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from app.db.models import FixedAddress, Network, Port, Server, Subnet
from app.db.models.base import new_id, now
from app.db.repo import addresses, networks
from app.db.session import Sessions
from app.scheduling import addresses as handing
from app.scheduling import pools
from app.scheduling.addresses import Wish, ensure_ports, give_addresses, new_port
from app.services.placement import place
from tasks.errors import NoFreeAddress, NotFound
from tests.rows import World, add_host, add_server, make_settings, make_world
from tests.runs.test_checkpoint import job_for

AT_ONCE = make_settings(address_rest_s=0)
RESTING = make_settings(address_rest_s=60)
POOL = ("10.8.0.2", "10.8.0.250")


@pytest.fixture
def world(sessions: Sessions) -> World:
    return make_world(sessions)


def make_subnet(sessions: Sessions, world: World, cidr: str, first: str, last: str) -> str:
    with sessions.begin() as session:
        row = Subnet(
            id=new_id(),
            network_id=world.network_id,
            version=ip_address(first).version,
            cidr=cidr,
            pools=[{"start": first, "end": last}],
        )
        session.add(row)
        return row.id


def take(
    sessions: Sessions,
    world: World,
    subnet_id: str,
    address: str | None = None,
    settings: object = AT_ONCE,
) -> tuple[str, str]:
    """Make a port; return its id and its address."""
    with sessions.begin() as session:
        locked = addresses.lock_subnets(session, {world.network_id})
        port = new_port(session.get_one(Network, world.network_id), world.project_id)
        give_addresses(session, port, [Wish(subnet_id, address)], locked, settings)  # type: ignore[arg-type]
        return port.id, port.addresses[0].address


def give_back(sessions: Sessions, port_id: str, age_s: float = 0) -> None:
    with sessions.begin() as session:
        addresses.delete_ports(session, [port_id])
        for row in session.scalars(select(FixedAddress).where(FixedAddress.port_id.is_(None))):
            if row.released_at is not None and age_s:
                row.released_at = now() - timedelta(seconds=age_s)


def test_threads_that_take_and_give_back_never_share_an_address(
    sessions: Sessions, world: World
) -> None:
    """Each holder notes its address while it has it; more takers than addresses."""
    subnet_id = make_subnet(sessions, world, "10.8.0.0/27", "10.8.0.2", "10.8.0.9")
    held: Counter[str] = Counter()
    shared: list[str] = []
    guard = threading.Lock()

    def story(number: int) -> int:
        got = 0
        for step in range(8):
            wish = f"10.8.0.{2 + (number + step) % 8}" if step % 3 == 2 else None
            try:
                port_id, address = take(sessions, world, subnet_id, wish)
            except NoFreeAddress:
                continue
            with guard:
                held[address] += 1
                shared.extend([address] if held[address] > 1 else [])
            got += 1
            with guard:
                held[address] -= 1
            give_back(sessions, port_id)
        return got

    with ThreadPoolExecutor(12) as pool:
        got = list(pool.map(story, range(12)))

    assert shared == []
    assert sum(got) > 24
    with sessions() as session:
        assert session.scalars(select(func.count()).select_from(FixedAddress)).one() <= 8


def test_constraint_alone_keeps_ports_apart(
    sessions: Sessions, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the lock on the subnet the losers try again, and nobody shares."""
    subnet_id = make_subnet(sessions, world, "10.8.0.0/24", "10.8.0.2", "10.8.0.250")

    def unlocked(session: object, network_ids: set[str]) -> dict[str, list[Subnet]]:
        query = select(Subnet).where(Subnet.network_id.in_(network_ids))
        return {world.network_id: list(session.scalars(query))}  # type: ignore[attr-defined]

    monkeypatch.setattr(addresses, "lock_subnets", unlocked)
    # Without the lock PostgreSQL may find that two wait for each other, and ends one of them.
    patient = retry(retry=retry_if_exception_type(OperationalError), stop=stop_after_attempt(50))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: patient(take)(sessions, world, subnet_id)[1], range(40)))

    assert len(set(taken)) == 40


def test_ports_and_the_end_of_their_network_do_not_wait_for_each_other(
    sessions: Sessions, world: World
) -> None:
    with sessions.begin() as session:
        server_id = add_server(session, world, AT_ONCE).server_id
    began = threading.Event()

    def place() -> None:
        began.set()
        with sessions.begin() as session:
            server = session.get_one(Server, server_id)
            ensure_ports(session, server, [world.network_id], [], AT_ONCE)

    with ThreadPoolExecutor(1) as pool, sessions.begin() as session:
        network = networks.lock_network(session, world.network_id)
        assert network is not None
        placed = pool.submit(place)
        began.wait()
        time.sleep(0.3)
        networks.delete_network(session, network)
        session.commit()
        with pytest.raises(NotFound):
            placed.result()


def test_address_rests_before_it_is_given_again(sessions: Sessions, world: World) -> None:
    subnet_id = make_subnet(sessions, world, "10.8.0.0/29", "10.8.0.2", "10.8.0.3")
    first, address = take(sessions, world, subnet_id, settings=RESTING)
    take(sessions, world, subnet_id, settings=RESTING)
    give_back(sessions, first)

    with pytest.raises(NoFreeAddress, match="no free address left; 1 rest for 60 s after use"):
        take(sessions, world, subnet_id, settings=RESTING)

    with sessions.begin() as session:
        row = session.get_one(FixedAddress, (subnet_id, address))
        assert row.released_at is not None
        row.released_at -= timedelta(seconds=61)
    assert take(sessions, world, subnet_id, settings=RESTING)[1] == address


def test_certain_address_may_be_had_while_it_rests(sessions: Sessions, world: World) -> None:
    subnet_id = make_subnet(sessions, world, "10.8.0.0/29", "10.8.0.2", "10.8.0.3")
    port_id, address = take(sessions, world, subnet_id, "10.8.0.3", RESTING)
    with pytest.raises(NoFreeAddress, match=r"10\.8\.0\.3 already allocated"):
        take(sessions, world, subnet_id, "10.8.0.3", RESTING)
    give_back(sessions, port_id)

    assert take(sessions, world, subnet_id, address, RESTING)[1] == "10.8.0.3"


def test_address_of_the_network_itself_is_nobodys(sessions: Sessions, world: World) -> None:
    subnet_id = make_subnet(sessions, world, "10.8.0.0/29", "10.8.0.2", "10.8.0.4")
    with sessions.begin() as session:
        session.get_one(Subnet, subnet_id).host_address = "10.8.0.2"

    assert take(sessions, world, subnet_id)[1] == "10.8.0.3"
    with pytest.raises(NoFreeAddress, match="by the network itself"):
        take(sessions, world, subnet_id, "10.8.0.2")


def test_address_outside_of_the_pools_is_not_handed_out_again(
    sessions: Sessions, world: World
) -> None:
    subnet_id = make_subnet(sessions, world, "10.8.0.0/24", "10.8.0.2", "10.8.0.2")
    give_back(sessions, take(sessions, world, subnet_id, "10.8.0.99")[0], age_s=10)
    assert take(sessions, world, subnet_id)[1] == "10.8.0.2"

    with pytest.raises(NoFreeAddress):
        take(sessions, world, subnet_id)


@pytest.mark.parametrize(
    ("cidr", "first", "last"),
    [
        ("10.8.0.0/16", "10.8.0.2", "10.8.255.254"),
        ("fd00:8::/64", "fd00:8::2", "fd00:8::ffff:ffff:ffff:fffe"),
    ],
)
def test_search_in_a_large_subnet_is_as_short_as_in_a_small_one(
    sessions: Sessions, world: World, cidr: str, first: str, last: str
) -> None:
    """With thousands of addresses taken and given back: a handful of statements, few rows each."""
    subnet_id = make_subnet(sessions, world, cidr, first, last)
    start = ip_address(first)
    with sessions.begin() as session:
        session.add_all(
            FixedAddress(subnet_id=subnet_id, address=str(start + number), released_at=now())
            for number in range(5000)
        )
        session.get_one(Subnet, subnet_id).frontier = str(start + 5000)
    statements: list[str] = []
    engine = sessions.kw["bind"]
    event.listen(
        engine,
        "before_cursor_execute",
        note := lambda *arguments: statements.append(arguments[2]),
    )

    assert take(sessions, world, subnet_id)[1] == str(start + 5000)

    event.remove(engine, "before_cursor_execute", note)
    assert len([text for text in statements if "address IN" in text]) == 1
    assert len(statements) < 12


def test_large_subnets_rows_do_not_grow_for_ever(
    sessions: Sessions, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "ROOMY", 5)
    subnet_id = make_subnet(sessions, world, "fd00:8::/64", "fd00:8::2", "fd00:8::ffff")
    for _ in range(12):
        give_back(sessions, take(sessions, world, subnet_id)[0], age_s=10)

    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(FixedAddress)) == 5


def test_servers_ports_go_and_owners_ports_stay(sessions: Sessions, world: World) -> None:
    subnet_id = make_subnet(sessions, world, "10.8.0.0/24", "10.8.0.2", "10.8.0.20")
    port_id, address = take(sessions, world, subnet_id)
    with sessions.begin() as session:
        session.get_one(Port, port_id).is_owners = True
        addresses.remove_ports(session, "nobody")
    with sessions() as session:
        assert [held.address for held in session.get_one(Port, port_id).addresses] == [address]


# --- arithmetic ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(50))
def test_frontier_parts_the_pools(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    base = int(ip_address("10.8.0.0"))
    ends = sorted(dice.sample(range(400), 2 * dice.randint(1, 4)))
    blocks = [
        {"start": str(ip_address(base + first)), "end": str(ip_address(base + last))}
        for first, last in zip(ends[::2], ends[1::2], strict=True)
    ]
    frontier = str(ip_address(base + dice.randint(0, 420)))
    after = [str(address) for address in pools.beyond(blocks, frontier)]

    assert pools.before(blocks, frontier) + len(after) == pools.size(blocks)
    assert all(pools.holds(blocks, address) for address in after)
    assert len(set(after)) == len(after)


def test_mac_that_another_port_has_is_drawn_again(
    sessions: Sessions, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_host(sessions, "one")
    taken, _ = take(sessions, world, make_subnet(sessions, world, "10.8.0.0/24", *POOL))
    with sessions.begin() as session:
        mac = session.get_one(Port, taken).mac
        run_id = add_server(session, world, AT_ONCE).id
    drawn = iter([mac, mac, "fa:16:3e:00:00:07"])
    monkeypatch.setattr(handing, "new_mac", lambda: next(drawn))

    placement = place(sessions, AT_ONCE, job_for(sessions, run_id))

    assert [port.mac for port in placement.build.ports] == ["fa:16:3e:00:00:07"]
