"""What a dataset is, whatever it is called: the same photos, captions and parameters again."""

import hashlib
import json
from collections.abc import Mapping

from shared.domain.archives import Member
from shared.domain.datasets import Dataset
from shared.domain.errors import RejectedDataset
from shared.domain.parameters import ParameterSource, ResolvedParameters
from shared.domain.problems import Problem

FORCE = "force"


def content_digest(application: str, dataset: Dataset, resolved: ResolvedParameters) -> str:
    """The same for two datasets exactly when a training of them would be the same; hex SHA-256.

    Photos and captions count by their size and CRC-32, as the archive's directory states them, and
    by which caption belongs to which photo; names do not. A trigger phrase that was made up for the
    job does not count either.
    """
    captions = {_stem(member): member for member in dataset.captions}
    photos = sorted(
        (*_content(image), *_content(captions.get(_stem(image)))) for image in dataset.images
    )
    parameters = resolved.values.model_dump(mode="json")
    if resolved.sources.get("trigger_phrase") is ParameterSource.GENERATED:
        del parameters["trigger_phrase"]
    told = json.dumps([application, photos, parameters], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def forced(metadata: Mapping[str, str]) -> bool:
    """Whether the object's metadata wants a training whatever was trained before.

    Raises RejectedDataset for what is neither true nor false.
    """
    said = metadata.get(FORCE, "false").strip().lower()
    if said not in ("true", "false"):
        message = f"force in the object metadata is “{said[:60]}”; it takes true or false."
        raise RejectedDataset([Problem(code="parameter_invalid_type", message=message)])
    return said == "true"


def _stem(member: Member) -> str:
    return member.name.rsplit(".", 1)[0]


def _content(member: Member | None) -> tuple[int, int]:
    return (member.size, member.crc) if member else (-1, -1)
