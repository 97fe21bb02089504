"""Results of 1.5 GB, datasets of 500 MB and 2 GB: ``python -m benchmarks large``, by hand, for five runs of each take a quarter of an hour."""

from benchmarks import check, copy
from benchmarks.figures import Topic

HOW = (
    "`python -m benchmarks large`, by hand: results of 1.5 GB copied and datasets of up to 2 GB checked, as the smaller ones are, five runs of each in turn; of the "
    "peers of a copy the best alone. A result of fal's trainer has 90 to 150 MB, a dataset about 50. The exponent is the k of seconds = c · bytes^k that fits three "
    "sizes best. In a container: Lambda's image of Python with a function's memory and the share of these cores that it has at Lambda (1,769 MB: one)."
)


def measure() -> Topic:
    """Measure both."""
    figures = [*copy.measured(copy.LARGE), *check.measure_large()]
    return Topic("large", "Large results and datasets", HOW, figures)
