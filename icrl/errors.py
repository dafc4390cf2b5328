"""What a user did wrong, in one line."""

import difflib
from collections.abc import Iterable


class RunError(Exception):
    """A run cannot start or go on, for a reason that its user can remove.

    The message is one line: what stands against it, where, and what to do. The command
    line prints it and exits with code 2, without a traceback.
    """


def unknown(kind: str, name: str, known: Iterable[str]) -> RunError:
    """Returns the error for a name that nobody has, with the nearest that exist."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known)
    if close:
        return RunError(f"no {kind} {name!r}; did you mean {' or '.join(close)}?")
    return RunError(f"no {kind} {name!r}; there are: {', '.join(known) or 'none'}")
