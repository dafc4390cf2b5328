"""The process around a run: what JAX should keep from one to the next."""

import contextlib
import os
import pathlib
from collections.abc import Iterator


def enable_compilation_cache() -> pathlib.Path | None:
    """Makes JAX keep what it compiles, so that the next run starts in seconds.

    Returns:
        The folder: `$JAX_COMPILATION_CACHE_DIR`, else `icrl/jax` in the user's cache;
        None where it cannot be written.
    """
    import jax

    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    folder = pathlib.Path(chosen) if chosen else pathlib.Path(home) / "icrl" / "jax"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    return folder


@contextlib.contextmanager
def compiled_anew() -> Iterator[None]:
    """Within it nothing is read from the cache of compiled programs, or kept there."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    def use(cache: bool) -> None:
        jax.config.update("jax_enable_compilation_cache", cache)
        compilation_cache.reset_cache()  # what is in use is settled once, until then

    before = bool(jax.config.values["jax_enable_compilation_cache"])
    use(False)
    try:
        yield
    finally:
        use(before)
