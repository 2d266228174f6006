"""SSH keys: is a text one public key of a kind that guests know, and a new pair when asked for."""

import base64
import binascii
import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.errors import RequestError

#: What OpenSSH still takes, with the number of fields in the key's blob.
_KINDS = {
    "ssh-ed25519": 2,
    "ssh-rsa": 3,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "sk-ssh-ed25519@openssh.com": 3,
    "sk-ecdsa-sha2-nistp256@openssh.com": 4,
}


def read_public_key(text: str) -> tuple[str, str]:
    """Return the key as one line, and its fingerprint. Raises RequestError."""
    line = text.strip()
    # A second line would be a second key in the guest's authorized_keys.
    words = line.split(" ", 2) if line.isprintable() else []
    if len(words) < 2 or words[0] not in _KINDS:
        raise RequestError(f"public_key: not an OpenSSH public key ({', '.join(_KINDS)})")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error as error:
        raise RequestError("public_key: its second word is not base64") from error
    fields = _fields(blob)
    if len(fields) != _KINDS[words[0]] or fields[0] != words[0].encode():
        raise RequestError(f"public_key: not a whole key of type {words[0]}")
    return line, _fingerprint(blob)


def make_pair() -> tuple[str, str]:
    """Return a new ed25519 pair in OpenSSH's form: private, public."""
    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ).decode(),
        private.public_key()
        .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        .decode(),
    )


def _fields(blob: bytes) -> list[bytes]:
    """Split a blob into its fields, each behind its length; nothing if one is cut short."""
    fields = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length:
            return []
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields


def _fingerprint(blob: bytes) -> str:
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, 32, 2))
