"""Where the weights of ESM-2 models lie: a file of the user, or fair-esm's own, fetched when asked for."""

from __future__ import annotations

from pathlib import Path

from cryo2struct.errors import ResourceError

DOWNLOAD = "download"
"""Given instead of a file, it asks for fair-esm's own."""

PUBLISHED = {name: f"{name}_UR50D.pt" for name in ("esm2_t6_8M", "esm2_t12_35M", "esm2_t30_150M", "esm2_t33_650M")}
"""Models that are fetched, by name, and their files at `ADDRESS`."""

ADDRESS = "https://dl.fbaipublicfiles.com/fair-esm/models/"


def weights_file(name: str, given: str | Path) -> Path:
    """The file of the model `name`: the given one, or in the user's cache folder when `DOWNLOAD` is given.

    Raises
    ------
    ResourceError
        The model is none of those that are fetched.
    """
    if str(given) != DOWNLOAD:
        return Path(given)
    if name not in PUBLISHED:
        raise ResourceError(
            f"--esm-weights {DOWNLOAD}: {name} is none of {', '.join(PUBLISHED)}: give its file with --esm-weights PATH"
        )
    from platformdirs import user_cache_path

    return user_cache_path("cryo2struct") / "esm2" / PUBLISHED[name]
