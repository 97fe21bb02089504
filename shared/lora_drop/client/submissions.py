"""What this machine has sent to fal, so that a lost answer is never paid for a second time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

TABLE = """
CREATE TABLE IF NOT EXISTS submissions (
    fingerprint TEXT PRIMARY KEY,
    application TEXT NOT NULL,
    address     TEXT NOT NULL,
    intended_at TEXT NOT NULL,
    request_id  TEXT
)
"""
WAITS = 30.0  # seconds for another process that writes


@dataclass(frozen=True, slots=True)
class SentTraining:
    """One submission; without ``request_id`` it is not known whether fal has accepted it.

    ``fingerprint`` says which dataset was sent with which parameters, ``address`` is where fal was to
    get the dataset.
    """

    fingerprint: str
    application: str
    address: str
    intended_at: datetime
    request_id: str | None = None


class Submissions:
    """One SQLite file, which several processes may use at once; each write is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, fingerprint: str) -> SentTraining | None:
        """Return the submission of this dataset with these parameters, None where there is none."""
        with self._open() as database:
            columns = "fingerprint, application, address, intended_at, request_id"
            row = database.execute(
                f"SELECT {columns} FROM submissions WHERE fingerprint = ?",  # noqa: S608  # a constant
                (fingerprint,),
            ).fetchone()
        if row is None:
            return None
        return SentTraining(row[0], row[1], row[2], datetime.fromisoformat(row[3]), row[4])

    def intend(self, training: SentTraining) -> bool:
        """Write the intent to send it; False where another process was first, which alone may send it."""
        with self._open() as database:
            written = database.execute(
                "INSERT OR IGNORE INTO submissions VALUES (?, ?, ?, ?, NULL)",
                (
                    training.fingerprint,
                    training.application,
                    training.address,
                    training.intended_at.isoformat(),
                ),
            )
            return written.rowcount == 1

    def accepted(self, fingerprint: str, request_id: str) -> None:
        """Write which request it has become."""
        with self._open() as database:
            database.execute(
                "UPDATE submissions SET request_id = ? WHERE fingerprint = ?",
                (request_id, fingerprint),
            )

    def withdraw(self, fingerprint: str) -> None:
        """Forget a submission that fal has not accepted, or that a person orders once more."""
        with self._open() as database:
            database.execute("DELETE FROM submissions WHERE fingerprint = ?", (fingerprint,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with closing(sqlite3.connect(self._path, timeout=WAITS)) as database:
            database.execute("PRAGMA synchronous = FULL")
            with database:
                database.execute(TABLE)
                yield database
