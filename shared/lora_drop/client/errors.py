"""The errors of the client; their messages are for people."""


class CommandError(Exception):
    """Raised when a command cannot do what it was asked for; the message says what to do."""


class StackUnreachableError(CommandError):
    """Raised when a stack is not found or does not answer as a stack does."""


class JobUnknownError(CommandError):
    """Raised when the stack has no such job (yet)."""
