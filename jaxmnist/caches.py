"""What is kept between runs, and where this platform keeps such things."""

from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """Returns the folder for this project's caches."""
    return user_cache_path("jaxmnist")


def keep_compiled_programs() -> None:
    """Lets JAX find again what it compiled in an earlier run; JAX_COMPILATION_CACHE_DIR rules."""
    import jax

    if not jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
