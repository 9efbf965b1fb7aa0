"""The exceptions that users see."""


class UserError(Exception):
    """An error that the user can fix; the message is one sentence that says how.

    The entry points print it without a traceback and exit with code 2.
    """


class AllDivergedError(UserError):
    """No member of a run is left whose loss and gradients are finite."""


class Interrupted(Exception):  # noqa: N818  like KeyboardInterrupt, no error
    """A run was asked to stop and has saved its state; the message says how to resume it."""

    def __init__(self, message: str, code: int) -> None:
        """`code` is the exit code: 128 plus the signal number, as shells report it."""
        super().__init__(message)
        self.code = code
