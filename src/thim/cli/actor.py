"""
Who does something by the command line, for the events.
"""

from __future__ import annotations

import os
import pwd


def os_user() -> str:
    """
    Return the user whom the operating system knows, and who is behind sudo.
    """
    # Not getpass.getuser, which believes the environment.
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    behind = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {behind})" if behind else name
