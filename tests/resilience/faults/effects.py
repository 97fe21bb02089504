"""Every call on the outside world, one at a time, through one interceptor.

Nothing is listed by interceptor: a World's field is wired when it is one of the ports, with every method
it has, and so is whatever a call gives back that leads outside again (a file that is being read, a
stream of bytes).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, Protocol

from typing_extensions import get_protocol_members, is_protocol

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
    port: str
    method: str
    arguments: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        described = (_described(argument) for argument in self.arguments)
        return " ".join([f"{self.port}.{self.method}", *filter(None, described)])


class Interceptor(Protocol):
    """What every effect passes through: it decides whether a call happens and what it returns."""

    def act[R](self, effect: Effect, call: Callable[[], R]) -> R:
        """The call's own result, if it is let happen; or any error."""


class Wired:
    """A port whose every call passes through an interceptor."""

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
            effect = Effect(port, method, arguments, named)
            return _wired(
                interceptor.act(effect, lambda: found(*arguments, **named)), effect, interceptor
            )

        self.__dict__[method] = call  # the next time there is nothing to look up
        return call


def wire(world: Any, interceptor: Interceptor) -> dict[str, Any]:
    """Wire every port of this world to the interceptor; return what was there before."""
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
    """The port that this method is of; the double's own name for what no port has.

    A double that lacks a method of its port would take none of the port's faults any more.
    """
    found = [name for name in _ports_of(kind) if method in PORTS[name]]
    like = [name for name, members in PORTS.items() if method in members]
    assert found or not like, f"{kind.__name__} has {method}, and not all of {' or '.join(like)}"
    return found[0] if found else kind.__name__


@cache
def _leads(kind: Any) -> str:
    """Return what a returned value of this type is: a context, a stream, a port or a holder of ports."""
    if issubclass(kind, AbstractContextManager) and not _ports_of(kind):
        return "context"
    if issubclass(kind, Iterator):
        return "stream"
    if _ports_of(kind):
        return "port"
    return "holder" if is_dataclass(kind) and kind.__module__.startswith(ports.__name__) else ""


def _wired(result: Any, effect: Effect, interceptor: Interceptor) -> Any:
    """What a call gave back, in the same interceptor where it leads outside again."""
    kind: Any = type(result)
    match _leads(kind):
        case "context":
            return _wired_context(result, effect, interceptor)
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
    step = Effect(effect.port, f"{effect.method}.next", effect.arguments)
    end = object()
    while (got := interceptor.act(step, lambda: next(results, end))) is not end:
        yield got


@contextmanager
def _wired_context(
    inner: AbstractContextManager[Any], effect: Effect, interceptor: Interceptor
) -> Iterator[Any]:
    """A context whose beginning is an effect; what it gives is wired, its end always happens."""
    step = Effect(effect.port, f"{effect.method}.enter", effect.arguments)
    given = interceptor.act(step, inner.__enter__)
    with ExitStack() as stack:
        stack.push(inner)
        yield _wired(given, step, interceptor)


def _described(argument: object) -> str:
    for name in ("status", "name", "key"):
        if isinstance(found := getattr(argument, name, None), str):
            return found.rsplit("/", 1)[-1]
    short = isinstance(argument, str) and len(argument) <= LONG
    return str(argument).rsplit("/", 1)[-1] if short else ""
