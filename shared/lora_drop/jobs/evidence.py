"""How a request at fal is known for a job's own when the answer to its POST was lost."""

from collections.abc import Mapping
from urllib.parse import parse_qs, unquote, urlsplit

from lora_drop.jobs.artifacts import holds_weights
from lora_drop.jobs.delivery import DeliveryMethod
from lora_drop.jobs.ids import result_prefix
from lora_drop.jobs.job import DatasetVersion, Job


def is_of(job: Job, url: str) -> bool:
    """Return whether a request with this address of a dataset can be the job's.

    A presigned address names the object; any other is the very one that was sent, or it is not.
    """
    sent = job.delivery
    if sent is None or sent.way is DeliveryMethod.PRESIGNED:
        return points_at(url, job.sent)
    return sent.made(url)


def is_of_picture(job: Job, given: Mapping[str, object]) -> bool:
    """Return whether a request with this input can be that of a picture: its LoRA, its prompt and its seed.

    The LoRA's address names the folder of the training, each signing of it makes another query.
    """
    order, loras = job.picture, given.get("loras")
    if order is None or (given.get("prompt"), str(given.get("seed"))) != (
        order.prompt,
        str(order.seed),
    ):
        return False
    if not (isinstance(loras, list) and len(loras) == 1 and isinstance(loras[0], Mapping)):
        return False
    return _lies_in(loras[0].get("path"), result_prefix(job.dataset.key, order.proof_of))


def _lies_in(url: object, folder: str) -> bool:
    try:
        path = unquote(urlsplit(url).path) if isinstance(url, str) else ""
    except ValueError:
        return False
    # S3 puts the bucket into the path or before the host.
    place, _, name = path.rpartition("/")
    return holds_weights(name) and f"{place}/".endswith(f"/{folder}")


def points_at(url: str, dataset: DatasetVersion) -> bool:
    """Return whether this address is a presigned one of exactly this object version.

    Only the path and the version count: each signing makes another query. S3 puts the bucket into
    the path or before the host.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    path = unquote(parts.path)
    by_path = path == f"/{dataset.bucket}/{dataset.key}"
    by_host = path == f"/{dataset.key}" and host.startswith(f"{dataset.bucket}.")
    version = parse_qs(parts.query).get("versionId", [""])
    return (by_path or by_host) and version == [dataset.named_version]
