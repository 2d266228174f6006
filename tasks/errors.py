"""Every error that Byre raises: a code word, a class that decides what happens, and two texts.

The class is the decision (design, rule 5): a fault of the REQUEST ends in ERROR with a reason its
owner can act on; a fault of the HOST is undone there, and another host is tried; a TRANSIENT one is
tried again on the same host; a BUG is undone and reported as ours. `public` is what the owner
reads; `facts` are for the operator's log and never leave it.
"""

from enum import StrEnum
from typing import Any, ClassVar


class FaultClass(StrEnum):
    """Who is at fault, and so what is done about it."""

    REQUEST = "request"
    HOST = "host"
    TRANSIENT = "transient"
    BUG = "bug"


class ByreError(Exception):
    """The root of the tree. `public` is one sentence for the owner; `facts` are for operators."""

    code: ClassVar[str] = "internal_error"
    fault: ClassVar[FaultClass] = FaultClass.BUG

    def __init__(self, public: str, **facts: Any) -> None:
        super().__init__(public)
        self.public = public
        self.facts = facts


# --- the request's fault ---------------------------------------------------------------------


class RequestError(ByreError):
    """What was asked for cannot be done, here or on any other host."""

    code = "bad_request"
    fault = FaultClass.REQUEST


class NotSupported(RequestError):
    """What Byre does not do, though OpenStack does."""

    code = "not_supported"


class NotFound(RequestError):
    """The thing named is not there, or is not this project's."""

    code = "not_found"


class Conflict(RequestError):
    """The thing is in a state, or of a name, that does not allow this."""

    code = "conflict"


class OverQuota(Conflict):
    """The project's limit on things of its networks would be passed."""

    code = "over_quota"


class SecurityGroupInUse(Conflict):
    """Ports are in the security group."""

    code = "security_group_in_use"


class SecurityGroupRuleExists(Conflict):
    """The security group has a rule that says the same."""

    code = "security_group_rule_exists"


class Forbidden(RequestError):
    """The caller may not do this."""

    code = "forbidden"


class Unauthorized(RequestError):
    """Nobody proved to be anybody: no token, or one that is unknown or expired."""

    code = "unauthorized"


class TooManyRequests(RequestError):
    """The caller has to wait before the next try."""

    code = "too_many_requests"


class TooLarge(RequestError):
    """The body is larger than the limit."""

    code = "too_large"


class QuotaExceeded(Forbidden):
    """The project's limit on servers, cores or memory would be passed."""

    code = "quota_exceeded"


class NoValidHost(RequestError):
    """No hypervisor passed every rule; the text counts what each rule refused."""

    code = "no_valid_host"


class NoFreeAddress(RequestError):
    """The subnet has no address left."""

    code = "no_free_address"


class ImageUnusable(RequestError):
    """The image cannot be used as it was asked for: not active, too large, of the wrong format."""

    code = "image_unusable"


class ImageRefused(RequestError):
    """The image does not take a host's bytes: it is gone, they are too many or of no use."""

    code = "image_refused"


class BootTimeout(RequestError):
    """The guest did not prove in time that it is up; the text says what was seen and what not."""

    code = "boot_timeout"

    def __init__(self, public: str, *, console: str = "", **facts: Any) -> None:
        super().__init__(public, **facts)
        self.console = console


class GuestDied(BootTimeout):
    """The domain stopped or crashed before the guest was up."""

    code = "guest_died"


# --- the host's fault ------------------------------------------------------------------------


class HostError(ByreError):
    """This hypervisor could not do it; another one might."""

    code = "host_error"
    fault = FaultClass.HOST


class ForeignOwner(HostError):
    """Something of that name is there and is not this run's: it is left untouched."""

    code = "foreign_owner"


class HostFull(HostError):
    """The host's storage or memory ran out while building."""

    code = "host_full"


class NotRunning(HostError):
    """The server has no domain that runs, and so nothing to look at."""

    code = "not_running"


class NoConsole(HostError):
    """The server's domain was made without a console of that kind."""

    code = "no_console"


class ImageCorrupt(HostError):
    """What was downloaded is not what the control plane promised: length or digest differ."""

    code = "image_corrupt"


# --- passing troubles ------------------------------------------------------------------------


class TransientError(ByreError):
    """Worth another try on the same host, after a pause."""

    code = "transient"
    fault = FaultClass.TRANSIENT


class HostGone(TransientError):
    """The hypervisor's daemon does not answer; its connection is being opened again."""

    code = "host_gone"


class HostBusy(TransientError):
    """The hypervisor is doing something that excludes this for the moment."""

    code = "host_busy"


class DownloadFailed(TransientError):
    """The image could not be fetched from the API."""

    code = "download_failed"


class UploadFailed(TransientError):
    """The image's bytes could not be sent to the API."""

    code = "upload_failed"


class StoreUnavailable(TransientError):
    """The image store does not answer, or not as it should; nothing is lost by it."""

    code = "image_store_unavailable"


class NotYet(TransientError):
    """Not an error: the guest is still booting, or stopping. Ask again after `again_s` seconds, and
    give the stage what it had `found` until now (its output so far, under a name of its inputs)."""

    code = "not_yet"

    def __init__(self, public: str, *, again_s: float, found: dict[str, Any] | None = None) -> None:
        super().__init__(public)
        self.again_s = again_s
        self.found = found or {}


class ServerHeld(NotYet):
    """Another stage of the same server is still at work on this host: its turn comes first."""

    code = "server_held"


# --- the protocol's own ----------------------------------------------------------------------


class StaleMessage(ByreError):
    """The message belongs to a run or an attempt that is over; it has no effect."""

    code = "stale_message"


class MalformedMessage(ByreError):
    """The message is not one of ours."""

    code = "malformed_message"


class NewerMessage(ByreError):
    """The message speaks a version that this process does not know yet: it is for another one."""

    code = "newer_message"


class StageExpired(HostError):
    """The stage did not end before its deadline."""

    code = "stage_expired"


class HostLost(HostError):
    """The host has not been heard of for so long that it is given up, until it comes back."""

    code = "host_lost"


class HostDeaf(HostError):
    """The host's worker lives, but takes nothing from its queue."""

    code = "host_deaf"


class WorkerKilled(HostError):
    """The host's worker ended at this stage, time and again."""

    code = "worker_killed"
