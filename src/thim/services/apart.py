"""
Have work done in a process of its own, so that what it loads and takes is gone
with it.

What passes to and fro is pickled: it comes from nobody but these two processes.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import subprocess
import sys
import threading

from typing import TYPE_CHECKING, Final

from thim.errors import (
    ConflictError,
    ForbiddenError,
    MalformedError,
    NotFoundError,
    ThimError,
    UnavailableError,
)


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO, Self

#: Seconds for all that is asked of one process.
_PATIENCE: Final = 120.0
#: What a caller may have done wrong; all else is ours.
_PASSED_ON: Final = (
    NotFoundError,
    MalformedError,
    ConflictError,
    ForbiddenError,
)


class Apart:
    """
    An object in a process of its own; use it in a ``with``.

    It is made by what *factory* names, ``module:function``, since that is not
    loaded here, and is called by the names of its methods.  What it has not
    done after *patience* seconds it never does.
    """

    def __init__(
        self, factory: str, *args: object, patience: float = _PATIENCE
    ) -> None:
        self._factory = factory
        self._args = args
        self._patience = patience

    def __enter__(self) -> Self:
        # Nothing of the folder that we happen to be in is to be loaded.
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._timer = threading.Timer(self._patience, self._process.kill)
        self._timer.daemon = True
        self._timer.start()
        try:
            self._send((self._factory, self._args))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        if kind is not None:  # nobody waits for what it is at
            self._process.kill()
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._process.communicate()
        self._process.wait()
        self._timer.cancel()

    def call(self, method: str, *args: object) -> Any:  # noqa: ANN401 - any
        """
        Call a *method* and return what it returns.

        Raises:
            NotFoundError, MalformedError, ConflictError, ForbiddenError: It
                has raised that.
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
        for passed_on in _PASSED_ON:
            if kind == passed_on.__name__:
                raise passed_on(message, reason=reason)
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


def _kind(error: ThimError) -> str:
    kinds = (kind for kind in _PASSED_ON if isinstance(error, kind))
    return next(kinds, UnavailableError).__name__


def _main() -> None:
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What is printed must not come between, not even by a library in C.
    sys.stdout = sys.stderr
    with contextlib.suppress(OSError):  # without a standard error
        os.dup2(2, 1)
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
            answer = (False, (_kind(e), str(e), e.reason))
        pickle.dump(answer, sink)
        sink.flush()


if __name__ == "__main__":
    _main()
