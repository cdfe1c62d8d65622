"""
Work that is done apart: all that can happen to it.
"""

import os
import signal
import sys
import time

from thim.errors import (
    ConflictError,
    ForbiddenError,
    MalformedError,
    NotFoundError,
    OperatorError,
    ParameterError,
    UnavailableError,
    UntrustedError,
)


ERRORS = {
    kind.__name__: kind
    for kind in (
        ConflictError,
        ForbiddenError,
        MalformedError,
        NotFoundError,
        OperatorError,
        UnavailableError,
        UntrustedError,
    )
}


class Work:
    """
    What can be asked for.
    """

    def __init__(self, *args):
        self.args = args
        self.calls = 0

    def tell(self):
        """
        Return what it was made with, how often it was called, and by whom.
        """
        self.calls += 1
        return self.args, self.calls, os.getpid()

    def give_back(self, value):
        """
        Return *value*.
        """
        return value

    def fail(self, kind):
        """
        Raise an error of a *kind*.
        """
        if kind == "ParameterError":
            raise ParameterError("limit", "-1", "expected 0 or more")
        msg = f"this is a {kind}"
        raise ERRORS[kind](msg, reason="so")

    def crash(self):
        """
        Have an error of our own.
        """
        raise RuntimeError

    def die(self):
        """
        Be killed.
        """
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self):
        """
        Write half an answer, and end.
        """
        self.stray(b"\x80\x04\x95")
        os._exit(0)

    def sleep(self):
        """
        Be at it for ever.
        """
        time.sleep(600)

    def chat(self):
        """
        Print, in each way that there is.
        """
        print("print")  # noqa: T201 - it is what is tried
        sys.stdout.write("write\n")
        self.stray(b"os.write\n")
        os.system("echo echo")  # noqa: S605
        return "answer"

    @staticmethod
    def stray(what):
        """
        Write where answers would be expected.
        """
        os.write(1, what)

    @staticmethod
    def modules():
        """
        Return what is loaded, and from where it may be.
        """
        return sorted(sys.modules), sys.path


def refuse():
    """
    Not even begin.
    """
    msg = "there is no store"
    raise OperatorError(msg, reason="store")
