"""The end of a process, as the code in it sees it: not at all."""


class Killed(BaseException):
    """The process ends here: no ``except Exception`` hears of it."""
