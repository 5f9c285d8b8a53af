"""Identical copies are evidence for one another: laid upon each other by a rigid motion, they look alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cryo2struct.objects import FloatArray, IntArray
from cryo2struct.tracing.chains import Chain, symbols_of
from hmm.sparse import Decoder, Path

WINDOW = 15
"""Residues that a motion is fitted to first."""

STRIDE = 5
"""Residues from one such window to the next."""

NEAR = 2.5
"""A candidate is the image of another one if it lies this near to where the motion takes it, angstrom."""

LEAST_COVER = 0.4
"""Share of a path's candidates that must have an image for a motion to count."""

REFERENCES = 6
"""Copies, those of the best scores, whose paths are laid upon the others."""

BONUS = 2.0
"""Added where a copy follows the image of the reference, nats per residue."""

MOST_JOINED = 5.0
"""As how many images count at most: the emissions of more would drown the links."""


@dataclass(frozen=True)
class Motion:
    """Rigid motion: x goes to rotation x + shift."""

    rotation: FloatArray
    shift: FloatArray

    def __call__(self, xyz: FloatArray) -> FloatArray:
        """Moved points (n, 3)."""
        return np.asarray(xyz @ self.rotation.T + self.shift)


def agree_copies(
    decoder: Decoder,
    chains: Sequence[Chain],
    paths: Sequence[Path],
    emission: NDArray[np.float64],
    directions: FloatArray | None = None,
) -> tuple[list[Path], list[NDArray[np.float64]]]:
    """Paths of all chains, those of identical chains made to agree, and the emissions (rows, N) that count for each.

    Parameters
    ----------
    paths : one per chain, which share no site
    emission : (rows, N), see `emission_scores`
    directions : (N, 3) to the next residue, by which states of one site are told apart, optional
    """
    found, emissions = list(paths), [emission] * len(chains)
    groups: dict[int, list[int]] = defaultdict(list)
    for number, chain in enumerate(chains):
        groups[chain.entity].append(number)
    for group in groups.values():
        if len(group) > 1:
            taken = np.zeros(decoder.n_sites, dtype=bool)
            for number, path in enumerate(found):
                taken[decoder.entered(path.state)] |= number not in group
            mine = [found[number] for number in group]
            agreed, merged = _agree(decoder, symbols_of(chains[group[0]]), mine, emission, taken, directions)
            for number, path in zip(group, agreed, strict=True):
                found[number], emissions[number] = path, merged
    return found, emissions


def _agree(
    decoder: Decoder,
    symbols: IntArray,
    paths: list[Path],
    emission: NDArray[np.float64],
    taken: NDArray[np.bool_],
    directions: FloatArray | None,
) -> tuple[list[Path], NDArray[np.float64]]:
    """The best of the paths given and of those that follow the images of one of them.

    They are compared by their scores, with the emissions of images joined.
    """
    best, best_gain, kept = paths, 0.0, emission
    for reference in sorted(range(len(paths)), key=lambda k: -paths[k].score)[:REFERENCES]:
        motions = find_motions(decoder.xyz, paths, reference)
        if not motions:
            continue
        moved = (image_of_states(decoder, motion, taken, directions) for motion in motions)
        images = np.array([np.arange(len(decoder.xyz)), *moved])
        path = paths[reference]
        merged = merged_emission(emission, symbols, path, images)
        targets = np.where(path.state >= 0, images[:, path.state], -1)
        followed = _follow(decoder, symbols, targets, len(paths), merged, taken)
        gain = sum(path.score for path in followed)
        gain -= sum(decoder.score(symbols, path.state, merged) for path in paths)
        if gain > best_gain:
            best, best_gain, kept = followed, gain, merged
    return best, kept


def find_motions(xyz: FloatArray, paths: Sequence[Path], reference: int) -> list[Motion]:
    """Motions that lay the path of the reference copy upon other candidates, at most one for each other copy.

    They are fitted to stretches that the reference shares with other copies, and then to all that has an image.
    """
    tree = cKDTree(xyz)
    state = paths[reference].state
    placed = xyz[state[state >= 0]]
    tried: list[tuple[float, Motion]] = []
    for path in (path for k, path in enumerate(paths) if k != reference):
        both = np.flatnonzero((state >= 0) & (path.state >= 0))
        for begin in range(0, len(both) - WINDOW + 1, STRIDE):
            rows = both[begin : begin + WINDOW]
            motion = _fit(xyz[state[rows]], xyz[path.state[rows]])
            cover = np.isfinite(tree.query(motion(placed), distance_upper_bound=NEAR)[0]).mean()
            tried.append((float(cover), motion))
    found: list[Motion] = []
    for cover, motion in sorted(tried, key=lambda pair: -pair[0]):
        if cover < LEAST_COVER or len(found) == len(paths) - 1:
            break
        places = [placed, *(other(placed) for other in found)]
        if min(np.sqrt(((motion(placed) - place) ** 2).sum(axis=1).mean()) for place in places) > 2 * NEAR:
            found.append(_refined(motion, placed, tree))
    return found


def _fit(first: FloatArray, second: FloatArray) -> Motion:
    """Motion that lays the first points (n, 3) upon the second ones with the least squares."""
    middle = first.mean(axis=0), second.mean(axis=0)
    rotation = Rotation.align_vectors(second - middle[1], first - middle[0])[0].as_matrix()
    return Motion(rotation, middle[1] - rotation @ middle[0])


def _refined(motion: Motion, placed: FloatArray, tree: cKDTree) -> Motion:
    for _ in range(3):
        distance, nearest = tree.query(motion(placed), distance_upper_bound=NEAR)
        rows = np.isfinite(distance)
        motion = _fit(placed[rows], tree.data[nearest[rows]])
    return motion


def image_of(xyz: FloatArray, motion: Motion, taken: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Candidate (N,) that is where the motion takes each one, one to one; -1 where there is none or it is taken."""
    moved = motion(xyz)
    distance, nearest = cKDTree(xyz).query(moved, distance_upper_bound=NEAR)
    back = cKDTree(moved).query(xyz)[1]
    rows = np.flatnonzero(np.isfinite(distance))
    rows = rows[(back[nearest[rows]] == rows) & ~taken[nearest[rows]]]
    image = np.full(len(xyz), -1)
    image[rows] = nearest[rows]
    return image


def image_of_states(
    decoder: Decoder, motion: Motion, taken: NDArray[np.bool_], directions: FloatArray | None
) -> NDArray[np.int64]:
    """State (N,) at the image of each one's site, that which runs the same way; -1 where there is none.

    The first states are those of the sites in their order.
    """
    image = image_of(decoder.xyz[: len(taken)], motion, taken)
    if directions is None or len(decoder.xyz) == len(taken):
        return image
    turned = np.full(len(taken) + 1, -1)
    turned[decoder.sites[len(taken) :]] = np.arange(len(taken), len(decoder.xyz))
    either = np.stack([image[decoder.sites], turned[image[decoder.sites]]])
    cosine = ((directions @ motion.rotation.T) * directions[either]).sum(axis=-1)
    cosine[either < 0] = -1.0
    best = cosine.argmax(axis=0)[None]
    return np.where(np.take_along_axis(cosine, best, 0) > 0, np.take_along_axis(either, best, 0), -1)[0]


def merged_emission(
    emission: NDArray[np.float64], symbols: IntArray, path: Path, images: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Emissions of each candidate and its images (K, N) joined: their sum, as far as they err independently.

    In a map with imposed symmetry all copies err alike. n images whose errors correlate by r count as
    n / (1 + (n - 1) r), and as `MOST_JOINED` at most.
    """
    total = np.zeros_like(emission)
    for image in images:
        here = image >= 0
        total[:, here] += emission[:, image[here]]
    count = (images >= 0).sum(axis=0)
    counts_as = np.minimum(count / (1 + (count - 1) * _correlation(emission, symbols, path, images)), MOST_JOINED)
    return np.asarray(total / count * counts_as)


def _correlation(emission: NDArray[np.float64], symbols: IntArray, path: Path, images: NDArray[np.int64]) -> float:
    """Correlation of the emissions along a path with those at its images, each less the mean of its symbol."""
    rows = np.flatnonzero(path.state >= 0)
    states, shown = images[:, path.state[rows]], symbols[rows]
    residual = emission[shown, states]
    for symbol in np.unique(shown):
        residual[:, shown == symbol] -= residual[:, shown == symbol][states[:, shown == symbol] >= 0].mean()
    first, other = np.broadcast_to(residual[:1], residual[1:].shape)[states[1:] >= 0], residual[1:][states[1:] >= 0]
    return float(np.clip(first @ other / np.sqrt((first @ first) * (other @ other)), 0, 1)) if len(other) else 1.0


def _follow(
    decoder: Decoder,
    symbols: IntArray,
    targets: NDArray[np.int64],
    copies: int,
    emission: NDArray[np.float64],
    taken: NDArray[np.bool_],
) -> list[Path]:
    """Copies decoded in turn along their targets (L,), then the copies without one; none enters another's target."""
    price = np.where(taken, np.inf, 0.0)
    price[decoder.entered(targets)] = np.inf
    found = []
    for number in range(copies):
        rows = emission[symbols]
        if number < len(targets):
            along = np.flatnonzero(targets[number] >= 0)
            rows[along, targets[number][along]] += BONUS
            price[decoder.entered(targets[number])] = 0.0
        path = decoder.decode(np.arange(len(symbols)), rows, price=price)
        price[decoder.entered(path.state)] = np.inf
        found.append(Path(path.state, path.opens, decoder.score(symbols, path.state, emission)))
    return found
