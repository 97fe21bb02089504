"""A drop's parameters, looked at by the stack's own rules before a byte is sent."""

from collections.abc import Mapping
from pathlib import Path

from lora_drop.adapters.local_files import open_range
from lora_drop.client.errors import CommandError
from lora_drop.datasets.archives import members_of, read_member
from lora_drop.datasets.owner_metadata import metadata_text, owner_fields, said_of_place
from lora_drop.datasets.parameter_layers import foreign
from lora_drop.datasets.parameters import (
    MAX_TRAINING_JSON,
    NO_JOB_YET,
    ResolvedParameters,
    advice,
    folder_advice,
    resolve,
)
from lora_drop.datasets.selection import select
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem


def metadata_of(parameters: Mapping[str, object]) -> dict[str, str]:
    """The parameters as they are sent along; raises CommandError for what cannot be, and for what is none.

    The stack ignores metadata that looks like no parameter; here it is one, for a person wrote it.
    """
    sent = {name: _text(name, value) for name, value in parameters.items()}
    if names := foreign(sent):
        raise CommandError(
            f"Nothing was uploaded. {', '.join(names)}: no trainer has such a parameter. What each takes: "
            "docs/trainers.md"
        )
    return sent


def of_options(problem: Problem) -> Problem:
    """What is wrong with the metadata of a drop that is still to come, said of the options."""
    if problem.member is not None or not problem.code.startswith("parameter_"):
        return problem
    return said_of_place(problem, "your options")


def check_parameters(
    archive: Path, *, key: str, metadata: Mapping[str, str], application: str
) -> ResolvedParameters | None:
    """What a job of this archive would train with, but for a trigger phrase that is made for it.

    ``metadata`` is what is sent along, ``application`` the stack's trainer. Raises CommandError for
    what is wrong with ``metadata``. What is wrong with the archive is left to the stack, whose
    verdict lies beside the dataset then: None.
    """
    return resolved_here(
        _training_json(archive), key=key, metadata=metadata, application=application
    )


def resolved_here(
    training_json: bytes | None, *, key: str, metadata: Mapping[str, str], application: str
) -> ResolvedParameters | None:
    """Return the same of a dataset that is not packed yet, with the content of its ``training.json``."""
    try:
        owner_fields(metadata)
        return resolve(
            key=key,
            training_json=training_json,
            metadata=metadata,
            trigger_seed=NO_JOB_YET,
            application=application,
        )
    except DatasetRejectedError as rejected:
        said_here = [
            of_options(problem).message for problem in rejected.problems if problem.member is None
        ]
        if said_here:
            raise CommandError("\n".join(("Nothing was uploaded.", *said_here))) from rejected
        return None


def drop_advice(
    resolved: ResolvedParameters | None, key: str, *, refuse: bool = False
) -> tuple[Problem, ...]:
    """What to think over before it is paid, also a folder that is nearly called like a preset.

    ``refuse``: the stack refuses such a folder, and so does this, with CommandError.
    """
    if resolved is None:
        return ()
    of_folder = () if resolved.preset else folder_advice(key, refuse=refuse)
    if refuse and of_folder:
        raise CommandError(f"Nothing was uploaded.\n{of_folder[0].message}")
    return (*advice(resolved), *of_folder)


def _training_json(archive: Path) -> bytes | None:
    """The parameters in the archive; none of them where the archive is refused as it is."""
    try:
        with open_range(archive) as file:
            found = select(members_of(file)).training_json
            return read_member(file, found, MAX_TRAINING_JSON) if found else None
    except DatasetRejectedError:
        return None


def _text(name: str, value: object) -> str:
    """A value as object metadata, which is ASCII; the stack reads it as it was written."""
    text = metadata_text(value)
    if text is None:
        raise CommandError(
            f"{name} {str(value)!r} cannot be sent along: it takes printable text on one line."
        )
    return text
