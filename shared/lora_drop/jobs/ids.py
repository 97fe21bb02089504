"""The id of a job, the folder of its files, and the secret part of its webhook address."""

import hashlib
import hmac
import re

from lora_drop.jobs.proof import PROOF_FOLDER

JOB_ID = re.compile(r"[a-z0-9-]{1,40}-[0-9a-f]{10}")
MAX_JOB_ID = 128  # characters that are looked for; DynamoDB takes no key of more than 2,048 bytes
TOKEN_LENGTH = 32
# What the stack has fetched from an address: the one folder whose keys are written once.
FETCHED_KEY = re.compile(r"fetched/[0-9a-f]{32}/[^/]+")
MAX_STEM = 800  # bytes; a job id has 51 at the most, the name of a file 120


def job_id_for(bucket: str, key: str, version_id: str, attempt: int = 1) -> str:
    """Return the id of the job for this object version: the same drop is always the same job.

    A slug of the archive's name, then 10 hex digits of SHA-256 over bucket, key and version, and
    from the second attempt on its number. A file that is fetched has its id before it has a version.
    """
    if is_fetched(key):
        version_id = ""
    again = f"\n{attempt}" if attempt > 1 else ""
    digest = hashlib.sha256(f"{bucket}\n{key}\n{version_id}{again}".encode()).hexdigest()
    return f"{_slug(_without_zip(key.rsplit('/', 1)[-1]))}-{digest[:10]}"


def picture_job_id(proof_of: str, number: int) -> str:
    """Return the id of the job of one picture: the same number of the same training is always the same job."""
    slug = proof_of.rpartition("-")[0]
    digest = hashlib.sha256(f"{proof_of}\npicture {number}".encode()).hexdigest()
    return f"{slug}-{digest[:10]}"


def fetched_key(identity: str, name: str) -> str:
    """Return the key that a file is fetched to: equal for equal orders, which ``identity`` tells apart."""
    return f"fetched/{hashlib.sha256(identity.encode()).hexdigest()[:32]}/{name}"


def is_fetched(key: str) -> bool:
    """Return whether the object under this key is one that the stack has fetched from an address."""
    return FETCHED_KEY.fullmatch(key) is not None


def result_prefix(key: str, job_id: str) -> str:
    """Return ``<dataset key without .zip>/<job_id>/``, the folder of a job's files."""
    return f"{dataset_prefix(key)}{job_id}/"


def dataset_prefix(key: str) -> str:
    """Return ``<dataset key without .zip>/``, the folder of the folders of a dataset's jobs.

    A key that leaves no room for the files' names is cut: S3 takes keys of 1,024 bytes.
    """
    return _without_zip(key).encode()[:MAX_STEM].decode(errors="ignore") + "/"


def picture_prefix(key: str, proof_of: str, number: int) -> str:
    """Return the folder of the files of one picture: in the one of the training whose proof sheet it belongs to."""
    return f"{result_prefix(key, proof_of)}{PROOF_FOLDER}/{number}/"


def digest_of(job_id: str) -> str:
    """Return the hex digest at the end of a job id: the part that contains no name."""
    return job_id.rpartition("-")[2]


def webhook_token(secret: bytes, job_id: str) -> str:
    """Return 32 hex digits that only this stack can make for this job (HMAC-SHA256, RFC 2104)."""
    return hmac.new(secret, b"webhook\n" + job_id.encode(), hashlib.sha256).hexdigest()[
        :TOKEN_LENGTH
    ]


def token_matches(secret: bytes, job_id: str, token: str) -> bool:
    """Return whether the token is this job's, compared in constant time."""
    return hmac.compare_digest(
        webhook_token(secret, job_id).encode(), token.encode(errors="replace")
    )


def _without_zip(name: str) -> str:
    return name[:-4] if name.lower().endswith(".zip") else name


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return slug or "dataset"
