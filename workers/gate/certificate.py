"""The gate's certificate: signed by itself, made at each start, known by its digest, which the host
tells through the broker."""

import hashlib
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: Longer than any worker runs; nobody looks at it, for the digest is what counts.
_LIVES = timedelta(days=3650)


def make_context(directory: Path) -> tuple[ssl.SSLContext, str]:
    """Return what serves TLS with a fresh key, and the certificate's SHA-256. The key lies in the
    directory only while it is read: Python's library takes it from nowhere else."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(key)
    path = directory / "console-gate.pem"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_key_text(key) + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(path)
    finally:
        path.unlink()
    der = certificate.public_bytes(serialization.Encoding.DER)
    return context, hashlib.sha256(der).hexdigest()


def _key_text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "byre console gate")])
    moment = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ.
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + _LIVES)
        .sign(key, hashes.SHA256())
    )
