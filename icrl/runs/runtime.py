"""The process around a run: what JAX should keep from one to the next."""

import os
import pathlib


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
