"""A guest's boot: what it is told, what proves it, and what has been proved."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.messages.base import Message, Value


class InjectedFile(Value):
    """A file that the guest is to find, which its first-boot program writes."""

    path: str
    #: base64, as the API took it
    contents: str = Field(repr=False)


class FirstBoot(Value):
    """What the guest is told at its first boot, by config drive and by the metadata service."""

    hostname: str
    name: str
    availability_zone: str
    #: The flavor's id; empty where an older control plane did not say.
    instance_type: str = ""
    #: key name -> OpenSSH public key
    public_keys: dict[str, str]
    metadata: dict[str, str]
    #: base64, as the API took it; empty when there is none
    user_data: str
    files: list[InjectedFile] = Field(default_factory=list)
    admin_pass: str = Field(repr=False)
    #: By which the guest is to know its root disk; empty: none.
    root_tag: str = ""
    #: JSON of the operator's own for every guest (OpenStack's vendor data); empty: none.
    vendor_data: str = ""
    #: By which the guest can say once that its first boot is done; empty: it is not asked to.
    phone_home_token: str = ""


#: `first_boot`: the guest's own first-boot program (cloud-init, say) said that it is done.
Proof = Literal["running", "address", "agent", "console", "first_boot"]


class BootProof(Value):
    """Which evidence makes the server ACTIVE, and for how long to look for it."""

    proof: Proof
    #: Plain text looked for in the console's output, when proof is `console`. Never a regular
    #: expression: the image's owner chooses it and the guest chooses what it is matched against.
    console_text: str
    limit_s: float = Field(gt=0)


class ProofSeen(Value):
    """One piece of evidence: seen at a time, not seen, or not to be known."""

    proof: Proof
    state: Literal["seen", "not_seen", "unknown"]
    #: Seconds from the domain's start to the first look that found it; none unless seen.
    after_s: float | None = None
    #: Unix seconds, by the host's clock, of that look.
    seen_at: float | None = None
    detail: str = ""
    #: `address` only: all of the port's addresses that have been seen.
    addresses: list[str] = Field(default_factory=list)


class BootReport(Value):
    """What the guest has proved. Given by `poll_boot`."""

    proofs: list[ProofSeen]


#: Nova's limit for a password that a guest has encrypted.
MAX_PASSWORD_BYTES = 1020


#: In ASCII, as base64 is.
PasswordText = Annotated[str, Field(max_length=MAX_PASSWORD_BYTES, pattern=r"^[\x01-\x7f]+$")]


class PostedPasswords(Message):
    """What guests of a host have posted as their password, which they made and encrypted with
    their owner's key. All of the host's, again and again: what is lost comes again."""

    host: str
    #: Server's id -> the text.
    passwords: dict[str, PasswordText] = Field(repr=False)


class ForgetPasswords(Message):
    """Passwords that their owners have cleared: guests may post others."""

    host: str
    #: Server's id -> SHA-256 of the text, so that a later one stays.
    digests: dict[str, str]
