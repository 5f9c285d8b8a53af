"""How far a path stays where it is when emissions are disturbed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmm.sparse.decode import Decoder, Path


def stability(
    decoder: Decoder,
    symbols: NDArray[np.integer[Any]],
    path: Path,
    emission: NDArray[np.float64],
    price: NDArray[np.float64],
    noise: float,
    times: int,
) -> NDArray[np.float64]:
    """Share (L,) of the paths decoded under noise that have a symbol at the site it has in this path; 0 where none.

    The paths start in the surroundings of this one. The same numbers are drawn each time.

    Parameters
    ----------
    symbols : (L,) int
    path : Path
    emission : (symbols, N)
    price : (sites,), see `Decoder.decode`
    noise : standard deviation of what is added to each emission, nats
    times : number of paths

    Notes
    -----
    Perturb and decode (Papandreou & Yuille 2011, perturb-and-MAP), with normal noise.
    """
    placed = np.flatnonzero(path.state >= 0)
    share, rng = np.zeros(len(symbols)), np.random.default_rng(0)
    near = path.state[placed]
    for _ in range(times if len(placed) else 0):
        state = decoder.decode(symbols, emission + rng.normal(0, noise, emission.shape), price=price, near=near).state
        found = state[placed]
        share[placed] += (found >= 0) & (decoder.sites[found] == decoder.sites[near])
    return share / times
