"""
Have work done in a process of its own, so that what it loads and takes is gone
with it.

What passes to and fro is pickled: it comes from nobody but these two processes.
"""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

from typing import Final

from thim.errors import NotFoundError, ThimError, UnavailableError


_ERRORS: Final = {"NotFoundError": NotFoundError}


def run_apart(name: str, *args: object, seconds: float = 120.0) -> object:
    """
    Call a function in a process of its own and return what it returns.

    Its *name* is ``module:function``, since it is not loaded here; its
    arguments and what it returns travel.

    Raises:
        NotFoundError: The function has raised that.
        UnavailableError: It has raised another error, the process has ended
            before its time, or it took longer than *seconds*.
    """
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", __name__],
            input=pickle.dumps((name, args)),
            capture_output=True,
            timeout=seconds,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as e:
        msg = f"{name} was not done: {type(e).__name__}"
        raise UnavailableError(msg, reason="apart", retry_after=60) from e
    is_good, value = pickle.loads(done.stdout)  # noqa: S301 - by our own child
    if is_good:
        return value
    kind, message, reason = value
    raise _ERRORS.get(kind, UnavailableError)(message, reason=reason)


def _main() -> None:
    name, args = pickle.load(sys.stdin.buffer)  # noqa: S301 - by our parent
    module, _, function = name.partition(":")
    call = getattr(importlib.import_module(module), function)
    try:
        answer: object = (True, call(*args))
    except ThimError as e:
        answer = (False, (type(e).__name__, str(e), e.reason))
    sys.stdout.buffer.write(pickle.dumps(answer))


if __name__ == "__main__":
    _main()
