"""Passwords: argon2id hashes. Slow on purpose, so it happens at login and nowhere else."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP's second choice: 19 MiB and two passes, about 20 ms. More memory would let a few logins
# at once take the API's.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

#: Verified when there is no such user, so that the answer takes as long.
_NOBODY = _HASHER.hash("nobody has this password")


def hash_password(password: str) -> str:
    """Return the hash to keep."""
    return _HASHER.hash(password)


def password_fits(password: str, password_hash: str | None) -> bool:
    """Say whether the password is that of the hash. None (no such user) and an empty text (a user
    without a password) take as long and are no."""
    try:
        fits = _HASHER.verify(password_hash or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return fits and bool(password_hash)
