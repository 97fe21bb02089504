"""Runs the real services step by step, by heart: what has been answered is answered again.

A service is deterministic, so what it does next follows from the call and the answers its ports
have given so far. A port whose next answer is not known yet stops the service there, with an
exception that no ``except Exception`` hears of, and says what was asked. Each history of answers is
run once; after that a step is a look into a dictionary.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lora_drop.jobs.errors import LoraDropError
from tests.resilience.model.table import Key, brief, key_of


class Unanswered(BaseException):
    """The service asks for something that has no answer yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """A call through a port, one atomic step; there is one for all equal ones."""

    port: str
    method: str
    args: tuple[Any, ...]
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """``jobs.replace``."""
        return f"{self.port}.{self.method}"

    def __str__(self) -> str:
        return f"{self.name}({', '.join(brief(each) for each in self.args)})"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a port answers: ``give`` returns it or raises it. There is one for all equal ones."""

    text: str
    give: Callable[[], Any]
    failed: bool


_ANSWERS: dict[Key, Answer] = {}


def returned(value: object) -> Answer:
    key = ("returned", key_of(value))
    if key not in _ANSWERS:
        _ANSWERS[key] = Answer(brief(value), lambda: value, failed=False)
    return _ANSWERS[key]


def raised(error: Callable[[], Exception]) -> Answer:
    example = error()
    key = ("raised", type(example), str(example))
    if key not in _ANSWERS:

        def give() -> Any:
            raise error()

        _ANSWERS[key] = Answer(type(example).__name__, give, failed=True)
    return _ANSWERS[key]


class Replay:
    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self._answers = answers
        self._given = 0
        self.unanswered: Effect | None = None

    def port(self, name: str, **aside: Any) -> Any:
        """A port whose every call is a step, but for what is answered ``aside``."""
        return _Port(name, self, aside)

    def ask(self, port: str, method: str, *args: Any, **options: Any) -> Any:
        """The next answer; raises Unanswered when there is none."""
        if self.unanswered is None and self._given < len(self._answers):
            self._given += 1
            return self._answers[self._given - 1].give()
        if self.unanswered is None:
            self.unanswered = Effect(port, method, args, options)
        # Whatever a ``finally`` asks on the way out would not be asked by a process that is dead.
        raise Unanswered


class _Port:
    def __init__(self, name: str, replay: Replay, aside: Mapping[str, Any]) -> None:
        self._name = name
        self._replay = replay
        self._aside = aside

    def __getattr__(self, method: str) -> Any:
        if method in self._aside:
            return self._aside[method]
        return partial(self._replay.ask, self._name, method)


@dataclass(frozen=True, slots=True)
class Outcome:
    text: str
    error: Exception | None = None

    @property
    def surprising(self) -> bool:
        """Whether it is an error that no service raises on purpose."""
        return self.error is not None and not isinstance(self.error, LoraDropError)


class Local:
    """The state of a worker: its call and the answers so far; ``effect`` is its next step."""

    __slots__ = ("answers", "call", "effect", "intents", "number", "outcome", "then")

    def __init__(
        self, call: Any, answers: tuple[Answer, ...], intents: tuple[str, ...], number: int
    ) -> None:
        self.call = call
        self.answers = answers
        self.intents = intents
        self.number = number
        self.effect: Effect | None = None
        self.outcome: Outcome | None = None
        self.then: dict[Answer, Local] = {}


class Executions:
    def __init__(self, play: Callable[[Any, Replay], object]) -> None:
        self._play = play
        self._first: dict[Hashable, Local] = {}
        self._effects: dict[Key, Effect] = {}
        self.played = 0

    def begin(self, call: Any) -> Local:
        if call not in self._first:
            self._first[call] = self._played(call, (), ())
        return self._first[call]

    def after(self, local: Local, answer: Answer) -> Local:
        then = local.then.get(answer)
        if then is None:
            intents = local.intents + _intended(local.effect, answer)
            then = self._played(local.call, (*local.answers, answer), intents)
            local.then[answer] = then
        return then

    def _played(self, call: Any, answers: tuple[Answer, ...], intents: tuple[str, ...]) -> Local:
        self.played += 1
        local, replay = Local(call, answers, intents, self.played), Replay(answers)
        outcome = None
        try:
            outcome = Outcome(brief(self._play(call, replay)))
        except Unanswered:
            pass
        except Exception as error:  # noqa: BLE001  # whatever it is, it is how the call ended
            outcome = Outcome(f"{type(error).__name__}: {error} {_within(error)}".strip(), error)
        if replay.unanswered is None:
            local.outcome = outcome
        else:
            local.effect = self._one_of(replay.unanswered)
        return local

    def _one_of(self, effect: Effect) -> Effect:
        key = (effect.name, key_of(effect.args), key_of(effect.options))
        return self._effects.setdefault(key, effect)


def _within(error: Exception) -> str:
    members = error.exceptions if isinstance(error, ExceptionGroup) else ()
    return "; ".join(f"{type(member).__name__}: {member}" for member in members)


def _intended(effect: Effect | None, answer: Answer) -> tuple[str, ...]:
    """The job that this step has written the intent to pay for, if it has."""
    if effect is None or effect.name != "jobs.replace" or answer.failed:
        return ()
    after = effect.args[1]
    return (after.job_id,) if after.status == "SUBMITTING" else ()
