"""What this machine has sent to fal, so that a lost answer is never paid for a second time."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lora_drop.client.errors import CommandError
from lora_drop.fal.hosts import REQUESTS_PAGE
from lora_drop.local.tools import data_folder

TABLE = """
CREATE TABLE IF NOT EXISTS submissions (
    fingerprint TEXT PRIMARY KEY,
    application TEXT NOT NULL,
    address     TEXT NOT NULL,
    intended_at TEXT NOT NULL,
    request_id  TEXT
)
"""
# The requests that another order of the same training has replaced: none of them is ever a lost one.
REPLACED = "CREATE TABLE IF NOT EXISTS replaced (request_id TEXT PRIMARY KEY)"
# What people ask about a request by its id; earlier versions have no such table and leave it alone.
SENT = """
CREATE TABLE IF NOT EXISTS sent (
    request_id  TEXT PRIMARY KEY,
    application TEXT NOT NULL,
    sent_at     TEXT NOT NULL,
    about       TEXT NOT NULL,
    folder      TEXT
)
"""
# Of a request that an earlier version has sent, its id alone is known.
KNOWN = (
    "SELECT request_id, application, sent_at, about, folder FROM sent UNION ALL "
    "SELECT request_id, application, intended_at, '{}', NULL FROM submissions "
    "WHERE request_id IS NOT NULL AND request_id NOT IN (SELECT request_id FROM sent)"
)
WAITS = 30.0  # seconds for another process that writes
USED = "{}.used"  # beside the file, once it has held its tables: an emptied file is no new one
FORGOTTEN = (
    "Without what it held, the trainings that run at fal are not known here, and to order one of them again is to pay "
    "for it again."
)


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


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request at fal that this machine has sent; ``about`` says what was ordered, ``folder`` where its files go."""

    request_id: str
    application: str
    sent_at: datetime
    about: Mapping[str, Any]
    folder: Path | None


class Submissions:
    """One SQLite file, which several processes may use at once; each write is on the disk when it returns."""

    def __init__(self, path: Path | None = None) -> None:
        """Use this file, the user's own where none is named."""
        # Absolute: the same file wherever the program goes.
        self._path = (path or data_folder() / "submissions.sqlite").absolute()

    @property
    def exists(self) -> bool:
        """Return whether there is a file; every other call makes one."""
        return self._path.is_file()

    def find(self, *fingerprints: str) -> SentTraining | None:
        """Return the submission with the first of these fingerprints that has one, None where there is none."""
        return next((found for each in fingerprints if (found := self._find(each))), None)

    def _find(self, fingerprint: str) -> SentTraining | None:
        with self._open() as database:
            columns = "fingerprint, application, address, intended_at, request_id"
            row = database.execute(
                f"SELECT {columns} FROM submissions WHERE fingerprint = ?",  # noqa: S608  # a constant
                (fingerprint,),
            ).fetchone()
        if row is None:
            return None
        try:
            return SentTraining(row[0], row[1], row[2], datetime.fromisoformat(row[3]), row[4])
        except (TypeError, ValueError) as error:
            raise self._unusable(error) from error

    def known(self) -> frozenset[str]:
        """Return every request that is known here, also those that a later order has replaced."""
        with self._open() as database:
            rows = database.execute(
                "SELECT request_id FROM submissions WHERE request_id IS NOT NULL "
                "UNION SELECT request_id FROM replaced"
            ).fetchall()
        return frozenset(row[0] for row in rows)

    def intend(self, training: SentTraining, *, instead_of: SentTraining | None = None) -> bool:
        """Write the intent to send it; False where another process was first, which alone may send it.

        ``instead_of`` is the ended one that it takes the place of, in the same write.
        """
        with self._open() as database:
            if instead_of is not None:
                _delete(database, instead_of)
                if instead_of.request_id:
                    database.execute(
                        "INSERT OR IGNORE INTO replaced (request_id) VALUES (?)",
                        (instead_of.request_id,),
                    )
            written = database.execute(
                "INSERT OR IGNORE INTO submissions (fingerprint, application, address, intended_at) "
                "VALUES (?, ?, ?, ?)",
                (
                    training.fingerprint,
                    training.application,
                    training.address,
                    training.intended_at.isoformat(),
                ),
            )
            return written.rowcount == 1

    def sent(self, request_id: str | None = None) -> Sequence[SentRequest]:
        """Return the requests that are known here, the newest first; of ``request_id`` that one alone."""
        which = "WHERE ? IN (request_id, '') ORDER BY sent_at DESC"
        with self._open() as database:
            rows = database.execute(f"SELECT * FROM ({KNOWN}) {which}", (request_id or "",))  # noqa: S608  # constants
            found = rows.fetchall()
        try:
            return [
                SentRequest(
                    row[0],
                    row[1],
                    datetime.fromisoformat(row[2]),
                    json.loads(row[3]),
                    Path(row[4]) if row[4] else None,
                )
                for row in found
            ]
        except (TypeError, ValueError) as error:
            raise self._unusable(error) from error

    def request(self, request_id: str) -> SentRequest | None:
        """Return this request; None where it is not known here."""
        return next(iter(self.sent(request_id)), None)

    def describe(self, request_id: str, about: Mapping[str, Any], folder: Path) -> None:
        """Write where the files of a request go, and what is known of it beside what was ordered."""
        with self._open() as database:
            database.execute(
                "UPDATE sent SET about = ?, folder = ? WHERE request_id = ?",
                (json.dumps(about), str(folder.absolute()), request_id),
            )

    def accepted(
        self, training: SentTraining, request_id: str, about: Mapping[str, Any] | None = None
    ) -> None:
        """Write which request this very submission has become, and what was ordered."""
        try:
            with self._open() as database:
                database.execute(
                    "UPDATE submissions SET request_id = ? WHERE fingerprint = ? AND intended_at = ?",
                    (request_id, training.fingerprint, training.intended_at.isoformat()),
                )
                database.execute(
                    "INSERT OR IGNORE INTO sent (request_id, application, sent_at, about) "
                    "VALUES (?, ?, ?, ?)",
                    (
                        request_id,
                        training.application,
                        training.intended_at.isoformat(),
                        json.dumps(about or {}),
                    ),
                )
        except CommandError as error:
            raise CommandError(
                f"fal has accepted this training as request {request_id}, and {self._path} could not be written: "
                f"{error.__cause__ or error}. Do not move or delete that file, which knows that the training was sent. "
                "Free the disk or make the file writable, then run the same again: it finds the request and pays nothing."
            ) from error

    def withdraw(self, training: SentTraining) -> None:
        """Forget this very submission, which fal has not accepted; never one of another process."""
        with self._open() as database:
            _delete(database, training)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        used = self._path.with_name(USED.format(self._path.name))
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._path.exists():
                used.unlink(missing_ok=True)  # a person has moved the file away
            with closing(sqlite3.connect(self._path, timeout=WAITS)) as database:
                self._refuse_emptied(database, used=used.exists())
                database.execute("PRAGMA synchronous = FULL")
                with database:
                    database.execute(TABLE)
                    database.execute(REPLACED)
                    database.execute(SENT)
                    yield database
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        with suppress(OSError):  # what was written stands all the same, and the next call makes it
            used.touch()

    def _refuse_emptied(self, database: sqlite3.Connection, *, used: bool) -> None:
        """Raise CommandError for a file that has held its tables and holds nothing now.

        SQLite takes a file that was cut to 0 or 1 byte for a new one, as a full disk leaves it before the first write.
        """
        tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'submissions'")
        if tables.fetchone() is None and used:
            raise CommandError(
                f"The record of what was sent to fal, {self._path}, was in use and is empty now. {FORGOTTEN} Nothing was "
                f"sent. Put a copy of the file back. Without one, look at {REQUESTS_PAGE}, and where none of your "
                "trainings runs there, delete the file and run the same again."
            )

    def _unusable(self, error: Exception) -> CommandError:
        return CommandError(
            f"The record of what was sent to fal, {self._path}, cannot be used: {error}. Without it a "
            "training may be paid for twice, so none is sent. Make it readable and writable, or put a copy of it back. "
            f"{FORGOTTEN} They are at {REQUESTS_PAGE}; where none of them runs, you can move the file away."
        )


def _delete(database: sqlite3.Connection, training: SentTraining) -> None:
    database.execute(
        "DELETE FROM submissions WHERE fingerprint = ? AND intended_at = ?",
        (training.fingerprint, training.intended_at.isoformat()),
    )
