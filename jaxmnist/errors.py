"""The exceptions that people see."""


class UserError(Exception):
    """Something the person at the keyboard can mend; the message is one sentence that says how.

    `launch.py` and the command line print it without a traceback and exit with code 2.
    """


class Interrupted(Exception):  # noqa: N818  like KeyboardInterrupt, no error
    """Somebody asked a run to stop, and it has saved what it had; the message says how to go on."""

    def __init__(self, message: str, code: int) -> None:
        """`code` is the exit code: 128 and the number of the signal, as shells have it."""
        super().__init__(message)
        self.code = code
