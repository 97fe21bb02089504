"""The errors of the client; their messages are for people."""


class CommandError(Exception):
    """Raised when a command cannot do what it was asked for; the message says what to do."""


class JobUnknownError(CommandError):
    """Raised when the stack has no such job (yet)."""
