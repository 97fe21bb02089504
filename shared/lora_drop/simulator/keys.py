"""The simulator's keys: TLS certificates from its own authority, and what it signs webhooks with.

All of them lie in the state folder, so a program that trusts a simulator trusts its successor.
"""

import base64
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import trustme
from nacl.signing import SigningKey

PRIVATE = 0o600


def server_context(state: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    """A TLS context for this host, 127.0.0.1 and localhost, and the file of its authority."""
    ca_file, ca_key = state / "ca.pem", state / "ca.key"
    if ca_file.exists() and ca_key.exists():
        authority = trustme.CA.from_pem(ca_file.read_bytes(), ca_key.read_bytes())
    else:
        authority = trustme.CA(organization_name="fal simulator")
        ca_file.write_bytes(authority.cert_pem.bytes())
        _write_private(ca_key, authority.private_key_pem.bytes())
    certificate = authority.issue_cert(*dict.fromkeys((host, "127.0.0.1", "localhost")))
    _write_private(state / "server.pem", certificate.private_key_and_cert_chain_pem.bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(state / "server.pem")
    return context, ca_file


def client_context(ca_file: Path) -> ssl.SSLContext:
    """Trusts what this machine trusts, and the simulator itself: its files can be datasets."""
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context


class WebhookKey:
    """The Ed25519 key that webhooks are signed with."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    @classmethod
    def of(cls, state: Path) -> Self:
        """The key of this state folder, made when it has none."""
        file = state / "webhook.key"
        if not file.exists():
            _write_private(file, bytes(SigningKey.generate()))
        return cls(SigningKey(file.read_bytes()))

    @classmethod
    def stranger(cls) -> Self:
        """A key that no JWKS lists."""
        return cls(SigningKey.generate())

    def sign(self, message: bytes) -> str:
        """The signature, 64 bytes in hex."""
        return self._key.sign(message).signature.hex()

    def jwks(self) -> Mapping[str, Any]:
        """The public key as RFC 8037 writes it: base64url without padding, 43 characters."""
        x = base64.urlsafe_b64encode(bytes(self._key.verify_key)).rstrip(b"=").decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}


def _write_private(file: Path, content: bytes) -> None:
    file.touch(mode=PRIVATE)
    file.write_bytes(content)
