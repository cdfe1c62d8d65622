"""
Have work done in a process of its own, so that what it loads and takes is gone
with it.

What passes to and fro is pickled: it comes from nobody but these two processes.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
import subprocess
import sys
import threading

from typing import TYPE_CHECKING, Final

from thim.errors import NotFoundError, ThimError, UnavailableError


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO, Self

#: Seconds for all that is asked of one process.
_PATIENCE: Final = 120.0


class Apart:
    """
    An object in a process of its own; use it in a ``with``.

    It is made by what *factory* names, ``module:function``, since that is not
    loaded here, and is called by the names of its methods.
    """

    def __init__(self, factory: str, *args: object) -> None:
        self._factory = factory
        self._args = args

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._timer = threading.Timer(_PATIENCE, self._process.kill)
        self._timer.daemon = True
        self._timer.start()
        self._send((self._factory, self._args))
        return self

    def __exit__(self, *_exc: object) -> None:
        self._timer.cancel()
        with contextlib.suppress(OSError):
            self._process.communicate()

    def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - any
        """
        Call a *method* and return what it returns.

        Raises:
            NotFoundError: It has raised that.
            UnavailableError: It has raised another error, or the process has
                ended before its time.
        """
        self._send((method, args))
        try:
            is_good, value = pickle.load(_pipe(self._process.stdout))  # noqa: S301
        except (EOFError, OSError, pickle.PickleError) as e:
            raise self._lost() from e
        if is_good:
            return value
        kind, message, reason = value
        if kind == NotFoundError.__name__:
            raise NotFoundError(message, reason=reason)
        raise UnavailableError(message, reason=reason)

    def _send(self, value: object) -> None:
        pipe = _pipe(self._process.stdin)
        try:
            pickle.dump(value, pipe)
            pipe.flush()
        except OSError as e:
            raise self._lost() from e

    def _lost(self) -> UnavailableError:
        msg = f"the process for {self._factory} has ended before its time"
        return UnavailableError(msg, reason="apart", retry_after=60)


def _pipe(pipe: Any) -> BinaryIO:  # noqa: ANN401 - of either direction
    found: BinaryIO = pipe
    return found


def _main() -> None:
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    # What is printed must not come between.
    sys.stdout = sys.stderr
    factory, args = pickle.load(source)  # noqa: S301 - by our parent
    made: object = None
    module, _, function = factory.partition(":")
    make: Callable[..., object] = getattr(
        importlib.import_module(module), function
    )
    while True:
        try:
            method, values = pickle.load(source)  # noqa: S301
        except EOFError:
            return
        try:
            made = make(*args) if made is None else made
            answer: object = (True, getattr(made, method)(*values))
        except ThimError as e:
            answer = (False, (type(e).__name__, str(e), e.reason))
        pickle.dump(answer, sink)
        sink.flush()


if __name__ == "__main__":
    _main()
