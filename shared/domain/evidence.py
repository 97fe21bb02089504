"""How a request at fal is known for a job's own when the answer to its POST was lost."""

from urllib.parse import parse_qs, unquote, urlsplit

from shared.domain.jobs import DatasetVersion


def points_at(url: str, dataset: DatasetVersion) -> bool:
    """Whether this address is a presigned one of exactly this object version.

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
