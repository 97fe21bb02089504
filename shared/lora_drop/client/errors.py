"""What the client tells a person."""


class CommandFailed(Exception):
    """Raised when a command cannot do what it was asked for; the message says what to do."""


class JobUnknown(CommandFailed):
    """Raised when the stack has no such job (yet)."""
