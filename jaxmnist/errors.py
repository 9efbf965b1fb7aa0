"""The one exception that people see."""


class UserError(Exception):
    """Something the person at the keyboard can mend; the message is one sentence that says how.

    `launch.py` and the command line print it without a traceback and exit with code 2.
    """
