"""What a check takes and costs with as much memory as a function may have, from its measured CPU seconds."""

from collections.abc import Iterator

from benchmarks.figures import Figure
from lora_drop.dev.prices import MB_A_CPU, PRICES

MEMORY = (1769, 2048, 3008, 3538)
WAITING = (
    1.5  # seconds of a submission for S3, DynamoDB and fal's answer, in which it computes nothing
)


def sweep(jpeg: float, heic: float) -> Iterator[Figure]:
    """Yield seconds and dollars of 1,000 datasets of 25 JPEGs, and of 50 HEICs; CPU seconds a photo are given."""
    for count, kind, cpu in ((25, "jpeg", jpeg), (50, "heic", heic)):
        for memory in MEMORY:
            seconds = count * cpu / (memory / MB_A_CPU) + WAITING
            key, of = (
                f"check.lambda.{kind}.{memory}",
                f"{count} {kind.upper()} photos, {memory:,} MB",
            )
            yield Figure(f"{key}.seconds", f"{of}, reckoned: one dataset", "s", (seconds,))
            dollars = 1000 * seconds * memory / 1024 * PRICES["gb_second"].usd
            yield Figure(f"{key}.dollars", f"{of}, reckoned: 1,000 datasets", "$", (dollars,))
