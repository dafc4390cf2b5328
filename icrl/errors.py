"""What a user did wrong, in one line."""

from collections.abc import Iterable

from envs import registry


class RunError(Exception):
    """A run cannot start or go on, for a reason that its user can remove.

    The message is one line: what stands against it, where, and what to do. The command
    line prints it and exits with code 2, without a traceback.
    """


class DivergedError(RunError):
    """No seed of a training is left whose loss is finite."""


def unknown(kind: str, name: str, known: Iterable[str]) -> RunError:
    """Returns the error for a name that nothing has, with the nearest that exist."""
    return RunError(str(registry.unknown(kind, name, known)))


def one_line(error: BaseException) -> str:
    """Returns what an error says as one line; its class if it says nothing."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else text
    return " ".join(text.split()) or type(error).__name__
