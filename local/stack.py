"""The whole stack on one machine: emulator, fal simulator, and the real template deployed there."""

import json
import os
import shutil
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from local import deployment
from local.emulator import CREDENTIALS, REGION, start_emulator
from local.fal_server import FalServer, fal_at, start_simulator
from local.processes import Background, NotStarted
from local.tools import ROOT

HOME = "LORA_DROP_HOME"
SAMPLE = ROOT / "local" / "samples" / "astronaut.zip"
LOOPBACK = "127.0.0.1"

type Step = Callable[[str], AbstractContextManager[None]]
"""Shows what is being done for as long as it is."""


class StackFailed(RuntimeError):
    """Raised when the stack cannot be brought up; says what failed and where to look."""


class RunningStack(BaseModel):
    """What is known of a stack that was brought up; kept in ``stack.json``."""

    model_config = ConfigDict(frozen=True)

    emulator: Background
    emulator_url: str
    simulator: Background | None
    fal: FalServer
    host: str
    outputs: dict[str, str] = {}

    @property
    def alive(self) -> bool:
        """Whether all its processes run."""
        return all(process.alive for process in self.processes)

    @property
    def processes(self) -> list[Background]:
        """Every process of it."""
        return [each for each in (self.simulator, self.emulator) if each is not None]


class LocalStack:
    """The stack of one state folder: ``LORA_DROP_HOME``, else ``.lora-drop`` in the project."""

    sample = SAMPLE

    def __init__(self, state: Path) -> None:
        self.state = state.absolute()
        self._file = self.state / "stack.json"
        self.sam_environments = self.state / "sam-env.json"

    @classmethod
    def here(cls) -> Self:
        """The stack that the command speaks of."""
        return cls(Path(os.environ.get(HOME) or ROOT / ".lora-drop"))

    def running(self) -> RunningStack | None:
        """The stack, if it was brought up and still runs."""
        stack = self._read()
        return stack if stack is not None and stack.alive and stack.outputs else None

    def access(self) -> dict[str, Any] | None:
        """What a client needs to reach the running stack; None when it is down."""
        stack = self.running()
        if stack is None:
            return None
        return {
            "name": deployment.STACK,
            "endpoint_url": stack.emulator_url,
            "api_url": deployment.api_url(stack.emulator_url),
            "region": REGION,
            "access_key": CREDENTIALS["AWS_ACCESS_KEY_ID"],
            "secret_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            "fal_url": stack.fal.url,
            "fal_ca_file": str(stack.fal.ca_file or ""),
            "fal_simulated": stack.fal.simulated,
            "outputs": stack.outputs,
        }

    def up(
        self,
        *,
        step: Step,
        fal: str | None = None,
        fal_ca: Path | None = None,
        host: str = LOOPBACK,
        training_seconds: float = 3.0,
    ) -> None:
        """Start what does not run yet, then build and deploy; raises StackFailed.

        A stack that runs keeps its processes, its data and its fal, and gets today's code.
        """
        stack = self.running()
        try:
            if stack is None:
                self.down()
                stack = self._start(step, fal, fal_ca, host, training_seconds)
            with step("sam build"):
                template = deployment.build(self.state, stack.fal)
            with step("sam deploy"):
                url = stack.emulator_url
                values = deployment.parameters(stack.fal, url)
                deployment.deploy(self.state, template, values, url)
                outputs = deployment.outputs(url)
                deployment.put_fal_key(url, outputs["FalKeySecretArn"], stack.fal.key)
                deployment.write_environments(self.sam_environments, url, outputs)
            self._write(stack.model_copy(update={"outputs": outputs}))
        except (NotStarted, deployment.SamFailed, OSError, ValueError) as error:
            raise StackFailed(str(error)) from error
        finally:
            if self.running() is None:
                self._end()

    def ledger(self) -> dict[str, Any] | None:
        """What the fal simulator saw and served; None without one that runs."""
        stack = self._read()
        if stack is None or stack.simulator is None or not stack.simulator.alive:
            return None
        context = ssl.create_default_context(cafile=stack.fal.ca_file)
        with httpx.Client(verify=context, trust_env=False) as client:
            answer = client.get(f"{stack.fal.url}/_sim/ledger").raise_for_status()
        return dict(answer.json())

    def down(self) -> bool:
        """End the stack and forget its data; False if there was none.

        Logs stay, and the simulator's ledger as ``ledger.json``.
        """
        if (ledger := self.ledger()) is not None:
            (self.state / "ledger.json").write_text(json.dumps(ledger, indent=2))
        was_up = self._end()
        for folder in ("fal", "s3", "state", "tmp", "build", "cache"):
            shutil.rmtree(self.state / folder, ignore_errors=True)
        return was_up

    def _start(
        self,
        step: Step,
        fal: str | None,
        fal_ca: Path | None,
        host: str,
        training_seconds: float,
    ) -> RunningStack:
        server = fal_at(fal, fal_ca) if fal else None
        simulator = None
        with step("AWS emulator"):
            emulator = start_emulator(self.state, host)
        if server is None:
            with step("fal simulator"):
                try:
                    simulator, server = start_simulator(self.state, host, training_seconds)
                except BaseException:
                    emulator.process.end()
                    raise
        stack = RunningStack(
            emulator=emulator.process,
            emulator_url=emulator.url,
            simulator=simulator,
            fal=server,
            host=host,
        )
        self._write(stack)
        return stack

    def _end(self) -> bool:
        stack = self._read()
        for process in stack.processes if stack else []:
            process.end()
        self._file.unlink(missing_ok=True)
        return stack is not None

    def _read(self) -> RunningStack | None:
        try:
            return RunningStack.model_validate_json(self._file.read_text())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise StackFailed(
                f"{self._file} cannot be read; end its processes yourself and delete it"
            ) from error

    def _write(self, stack: RunningStack) -> None:
        temporary = self._file.with_suffix(".new")
        temporary.write_text(stack.model_dump_json(indent=2))
        temporary.replace(self._file)
