"""What would use threads, in one order of things."""

from collections.abc import Callable
from concurrent.futures import Executor, Future


class Inline(Executor):
    """A ThreadPoolExecutor without threads; the death of the process comes out of it at once."""

    def __init__(self, _: int = 1) -> None:
        """As ThreadPoolExecutor."""

    def submit[**P, R](
        self, fn: Callable[P, R], /, *arguments: P.args, **named: P.kwargs
    ) -> Future[R]:
        future = Future[R]()
        try:
            future.set_result(fn(*arguments, **named))
        except Exception as error:  # noqa: BLE001  # for the caller of result()
            future.set_exception(error)
        return future
