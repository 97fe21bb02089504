"""A process that decodes pictures for the page: it does tasks from a pipe, and ends with it.

``python -m lora_drop.ui.worker_main NUMBER``: the number of the pipe, a ``multiprocessing.connection.Connection``.
"""

import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from lora_drop.adapters import previews  # loaded before the first task comes
from lora_drop.ui.worker_tasks import answer


def main(number: int) -> None:
    """Do tasks until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which closes the pipe
    previews.warm()
    with (
        Connection(number) as connection,
        suppress(EOFError, BrokenPipeError, ConnectionResetError),
    ):
        while True:
            connection.send(answer(connection.recv(), connection.send))


if __name__ == "__main__":
    main(int(sys.argv[1]))
