"""Every call on the outside world, one at a time, in call_from_outside's interceptor.

Nothing is listed by interceptor: a World's field is wired when it is one of the ports, with every method
it has, and so is whatever a call gives back that leads outside again (a file that is being read, a
stream of bytes).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from types import TracebackType
from typing import Any, Protocol, get_protocol_members, is_protocol

from lora_drop import ports

PORTS = {
    name: frozenset(get_protocol_members(port))
    for name, port in vars(ports).items()
    if isinstance(port, type) and is_protocol(port) and port is not ports.Clock
}
SECRET = "Secret"
LONG = 200


@dataclass(frozen=True, slots=True)
class Effect:
    """One call on the outside world: of which port, by what name, with what."""

    port: str
    method: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        described = (_described(argument) for argument in self.arguments)
        return " ".join([f"{self.port}.{self.method}", *filter(None, described)])


class Interceptor(Protocol):
    """What every effect passes through: it lets a call happen, or not, and decides what comes of it."""

    def act[R](self, effect: Effect, call: Callable[[], R]) -> R:
        """The call's own result, if it is let happen; or any error."""


class Wired:
    """A port whose every call passes through a interceptor."""

    def __init__(self, inner: object, interceptor: Interceptor, *, name: str = "") -> None:
        self._inner = inner
        self._interceptor = interceptor
        self._name = name

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._inner, method)
        if not callable(found):
            return found
        kind: Any = type(self._inner)
        interceptor, port = self._interceptor, self._name or _port_of(kind, method)

        def call(*arguments: Any, **named: Any) -> Any:
            effect = Effect(port, method, arguments)
            return _wired(
                interceptor.act(effect, lambda: found(*arguments, **named)), effect, interceptor
            )

        self.__dict__[method] = call  # the next time there is nothing to look up
        return call


def wire(world: Any, interceptor: Interceptor) -> dict[str, Any]:
    """Put every way out of this world into the interceptor; returns what stood there before."""
    before = {}
    for name, value in vars(world).items():
        if is_port(value):
            before[name] = value
            setattr(world, name, Wired(value, interceptor))
        elif callable(value) and name != "clock":
            before[name] = value
            setattr(world, name, _secret(name, value, interceptor))
    return before


def is_port(value: object) -> bool:
    """Whether this is something that leads outside."""
    kind: Any = type(value)
    return bool(_ports_of(kind))


def _secret(name: str, value: Callable[..., Any], interceptor: Interceptor) -> Callable[..., Any]:
    return lambda *arguments: interceptor.act(Effect(SECRET, name), lambda: value(*arguments))


@cache
def _ports_of(kind: Any) -> tuple[str, ...]:
    has = frozenset(dir(kind))
    found = [name for name, members in PORTS.items() if members <= has]
    return tuple(sorted(found, key=lambda name: -len(PORTS[name])))  # the most particular first


@cache
def _port_of(kind: Any, method: str) -> str:
    """The port that this method is of; the double's own name for what no port has."""
    found = [name for name in _ports_of(kind) if method in PORTS[name]]
    return found[0] if found else kind.__name__


@cache
def _leads(kind: Any) -> str:
    """Where a thing of this kind leads that a call has given back."""
    if issubclass(kind, AbstractContextManager) and not _ports_of(kind):
        return "context"
    if issubclass(kind, Iterator):
        return "stream"
    if _ports_of(kind):
        return "port"
    return "holder" if is_dataclass(kind) and kind.__module__ == ports.__name__ else ""


def _wired(result: Any, effect: Effect, interceptor: Interceptor) -> Any:
    """What a call gave back, in the same interceptor where it leads outside again."""
    kind: Any = type(result)
    match _leads(kind):
        case "context":
            return _WiredContext(result, effect, interceptor)
        case "stream":
            return _each(result, effect, interceptor)
        case "port":
            return Wired(result, interceptor)
        case "holder":
            values = {each.name: getattr(result, each.name) for each in fields(result)}
            leading = {name: value for name, value in values.items() if is_port(value)}
            wired = {name: Wired(value, interceptor) for name, value in leading.items()}
            return replace(result, **wired) if wired else result
        case _:
            return result


def _each(results: Iterator[Any], effect: Effect, interceptor: Interceptor) -> Iterator[Any]:
    """Each thing of a stream is an effect of its own."""
    step = Effect(effect.port, f"{effect.method}.next", effect.arguments)
    end = object()
    while (got := interceptor.act(step, lambda: next(results, end))) is not end:
        yield got


class _WiredContext:
    """A context whose beginning is an effect; what it gives is wired, its end is never stopped."""

    def __init__(
        self, inner: AbstractContextManager[Any], effect: Effect, interceptor: Interceptor
    ) -> None:
        self._inner = inner
        self._effect = effect
        self._interceptor = interceptor

    def __enter__(self) -> Any:
        step = Effect(self._effect.port, f"{self._effect.method}.enter", self._effect.arguments)
        return _wired(self._interceptor.act(step, self._inner.__enter__), step, self._interceptor)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self._inner.__exit__(kind, error, trace)


def _described(argument: object) -> str:
    """What tells this call from others of its name."""
    for name in ("status", "name", "key"):
        if isinstance(found := getattr(argument, name, None), str):
            return found.rsplit("/", 1)[-1]
    short = isinstance(argument, str) and len(argument) <= LONG
    return str(argument).rsplit("/", 1)[-1] if short else ""
