"""What a check takes and costs with as much memory as a function may have, from its measured CPU seconds."""

from collections.abc import Iterator

from benchmarks.figures import Figure

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: a whole core at 1,769 MB, in proportion.
MB_A_CORE = 1769
# https://aws.amazon.com/lambda/pricing/ (ARM, us-east-1): a gigabyte for a second.
DOLLARS = 0.0000133334
MEMORY = (1769, 2048, 3008, 3538)
WAITING = (
    1.5  # seconds of a submission for S3, DynamoDB and fal's answer, in which it computes nothing
)


def sweep(jpeg: float, heic: float) -> Iterator[Figure]:
    """Yield seconds and dollars of 1,000 datasets of 25 JPEGs, and of 50 HEICs; CPU seconds a photo are given."""
    for count, kind, cpu in ((25, "jpeg", jpeg), (50, "heic", heic)):
        for memory in MEMORY:
            seconds = count * cpu / (memory / MB_A_CORE) + WAITING
            key, of = (
                f"check.lambda.{kind}.{memory}",
                f"{count} {kind.upper()} photos, {memory:,} MB",
            )
            yield Figure(f"{key}.seconds", f"{of}, reckoned: one dataset", "s", (seconds,))
            dollars = 1000 * seconds * memory / 1024 * DOLLARS
            yield Figure(f"{key}.dollars", f"{of}, reckoned: 1,000 datasets", "$", (dollars,))
