"""What is written down of a stack: each process from the moment it starts, the rest once it is known."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from lora_drop.local.fal_server import FalServer
from lora_drop.local.processes import Background

PROCESSES = TypeAdapter(list[Background])
ELSEWHERE = "To keep its files in another folder: export LORA_DROP_HOME=FOLDER"


class StackError(RuntimeError):
    """Raised when the stack cannot do what it is asked for; says what failed and where to look."""


class RunningStack(BaseModel):
    """What is known of a stack whose processes have started; ``outputs`` once it is deployed.

    ``parameters`` are those that were asked for, ``deployed`` all of them as they were deployed last,
    with the code whose sources have the digest ``built``.
    """

    model_config = ConfigDict(frozen=True)

    emulator: Background
    emulator_url: str
    simulator: Background | None
    fal: FalServer
    host: str
    parameters: dict[str, str] = {}
    outputs: dict[str, str] = {}
    built: str = ""
    deployed: dict[str, str] = {}

    @property
    def alive(self) -> bool:
        """Whether all its processes run."""
        return all(each.alive for each in (self.simulator, self.emulator) if each is not None)


class Record:
    """``stack.json`` and ``processes.json`` of one state folder."""

    def __init__(self, state: Path) -> None:
        self._stack = state / "stack.json"
        self._processes = state / "processes.json"

    def stack(self) -> RunningStack | None:
        """The stack that was brought up last, running or not; raises StackError."""
        try:
            return RunningStack.model_validate_json(self._stack.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StackError(f"{self._stack} cannot be read: {error}. {ELSEWHERE}") from error
        except ValidationError as error:
            raise StackError(
                f"{self._stack} cannot be read. End the stack and forget it: lora-drop down"
            ) from error

    def write(self, stack: RunningStack) -> None:
        """Keep what is known of the stack."""
        _replace(self._stack, stack.model_dump_json(indent=2).encode())

    def keep(self, process: Background) -> None:
        """Note a process that has just started: it ends with the stack, whatever becomes of us."""
        running = [each for each in self._kept() if each.alive]
        _replace(self._processes, PROCESSES.dump_json([*running, process], indent=2))

    def end(self) -> bool:
        """End every process and forget the stack; False if there was nothing of it."""
        kept = self._kept()
        for process in reversed(kept):
            process.end()
        known = bool(kept) or self._stack.exists()
        for file in (self._stack, self._processes):
            file.unlink(missing_ok=True)
        return known

    def _kept(self) -> list[Background]:
        try:
            return PROCESSES.validate_json(self._processes.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            raise StackError(
                f"{self._processes} cannot be read; end its processes yourself and delete it"
            ) from error


def _replace(file: Path, content: bytes) -> None:
    """Write the file, or leave it as it was."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(file)
