"""Publishers for use cases that send nothing, or of which nobody hears."""

from datetime import datetime

from tasks.messages import (
    DescribeDomain,
    Diagnose,
    Fabric,
    ForgetPasswords,
    OpenConsole,
    ReadConsole,
    Tidy,
    WarmCache,
)


class NoPublisher:
    """Nothing is sent here."""

    def publish(self, run_id: str) -> None:
        raise AssertionError(run_id)

    def canary(self, host: str | None, moment: datetime) -> None:
        raise AssertionError(host)

    def tidy(self, order: Tidy) -> None:
        raise AssertionError(order)

    def fabric_changed(self) -> None:
        """It is found by the next sweep."""

    def fabric(self, order: Fabric) -> None:
        raise AssertionError(order)

    def warm(self, order: WarmCache) -> None:
        raise AssertionError(order)

    def read_console(self, order: ReadConsole) -> None:
        raise AssertionError(order)

    def open_console(self, order: OpenConsole) -> None:
        raise AssertionError(order)

    def diagnose(self, order: Diagnose) -> None:
        raise AssertionError(order)

    def describe_domain(self, order: DescribeDomain) -> None:
        raise AssertionError(order)

    def forget_passwords(self, order: ForgetPasswords) -> None:
        raise AssertionError(order)

    def broker_answers(self) -> bool:
        return True


class UnheardPublisher(NoPublisher):
    """Runs are sent, and nobody hears of them."""

    def publish(self, run_id: str) -> None:
        """Send it nowhere."""
