"""The properties by which an image, or a server's own metadata, says what proves that its guest
is up. The server's word wins, property by property."""

from collections.abc import Mapping

from tasks.errors import RequestError

#: One of PROOFS; by default that the guest uses its address.
PROOF = "byre_boot_proof"
#: For the proof `console`: the text to look for.
TEXT = "byre_boot_text"
#: Seconds that a guest may take.
LIMIT = "byre_boot_limit"
NAMES = (PROOF, TEXT, LIMIT)

PROOFS = ("running", "address", "agent", "console", "first_boot")
#: Longer than any guest boots, and shorter than a run may take.
MAX_LIMIT_S = 3000.0


def check_boot_properties(properties: Mapping[str, str]) -> None:
    """Raise RequestError, naming the property, if one of them says what it cannot mean."""
    proof = properties.get(PROOF)
    if proof is not None and proof not in PROOFS:
        raise RequestError(f"{PROOF}: {proof} is none of {', '.join(PROOFS)}.")
    if proof == "console" and not properties.get(TEXT):
        raise RequestError(f"{TEXT}: must say what the console shows when the guest is up.")
    limit = properties.get(LIMIT)
    if limit is not None and not _is_limit(limit):
        raise RequestError(f"{LIMIT}: must be seconds, more than 0 and at most {MAX_LIMIT_S:.0f}.")


def merged(image: Mapping[str, str], server: Mapping[str, str]) -> dict[str, str]:
    """Return the properties that hold for a server of that metadata."""
    return {name: str(words[name]) for words in (image, server) for name in NAMES if name in words}


def _is_limit(text: str) -> bool:
    try:
        return 0 < float(text) <= MAX_LIMIT_S
    except ValueError:
        return False
