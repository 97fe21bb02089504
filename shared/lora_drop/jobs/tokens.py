"""The secret part of a job's webhook address: who knows it was given it by us."""

import hashlib
import hmac

TOKEN_LENGTH = 32


def webhook_token(secret: bytes, job_id: str) -> str:
    """32 hex digits that only this stack can make for this job (HMAC-SHA256, RFC 2104)."""
    return hmac.new(secret, b"webhook\n" + job_id.encode(), hashlib.sha256).hexdigest()[
        :TOKEN_LENGTH
    ]


def token_matches(secret: bytes, job_id: str, token: str) -> bool:
    """Whether the token is this job's, compared in constant time."""
    return hmac.compare_digest(
        webhook_token(secret, job_id).encode(), token.encode(errors="replace")
    )
