"""The sequence head: what the surroundings of C-alpha candidates and the sequences say about the candidates' types.

Messages pass between neighbouring candidates, in frames made of the predicted directions; each candidate then attends
to the residues of all distinct sequences. The voxel and residue networks stay free of sequence.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryo2struct.networks.residue import residue_frames

STEP = 3.8
"""Distance of consecutive C-alphas, angstrom."""

SHIFTS = 4
"""Residues on either side that are compared with the sequence by their types."""

NODE_FEATURES = 27
EDGE_FEATURES = 32

LOG_SCALE = 3.0
"""Log probabilities are divided by this as features."""

LOG_FLOOR = -9.0
"""Log probabilities below are as good as this."""

CROWDING = (8.0, 10.0, 14.0)
"""Radii within which neighbours are counted, angstrom."""

BUILTIN = "builtin"
BUILTIN_WIDTH = 57
"""Numbers per residue of the built-in encoder: one-hot (20 types and unknown), row of BLOSUM62 (20), position (16)."""

LETTERS = "ACDEFGHIKLMNPQRSTVWY"

BLOSUM62 = """
 4  0 -2 -1 -2  0 -2 -1 -1 -1 -1 -2 -1 -1 -1  1  0  0 -3 -2
 0  9 -3 -4 -2 -3 -3 -1 -3 -1 -1 -3 -3 -3 -3 -1 -1 -1 -2 -2
-2 -3  6  2 -3 -1 -1 -3 -1 -4 -3  1 -1  0 -2  0 -1 -3 -4 -3
-1 -4  2  5 -3 -2  0 -3  1 -3 -2  0 -1  2  0  0 -1 -2 -3 -2
-2 -2 -3 -3  6 -3 -1  0 -3  0  0 -3 -4 -3 -3 -2 -2 -1  1  3
 0 -3 -1 -2 -3  6 -2 -4 -2 -4 -3  0 -2 -2 -2  0 -2 -3 -2 -3
-2 -3 -1  0 -1 -2  8 -3 -1 -3 -2  1 -2  0  0 -1 -2 -3 -2  2
-1 -1 -3 -3  0 -4 -3  4 -3  2  1 -3 -3 -3 -3 -2 -1  3 -3 -1
-1 -3 -1  1 -3 -2 -1 -3  5 -2 -1  0 -1  1  2  0 -1 -2 -3 -2
-1 -1 -4 -3  0 -4 -3  2 -2  4  2 -3 -3 -2 -2 -2 -1  1 -2 -1
-1 -1 -3 -2  0 -3 -2  1 -1  2  5 -2 -2  0 -1 -1 -1  1 -1 -1
-2 -3  1  0 -3  0  1 -3  0 -3 -2  6 -2  0  0  1  0 -3 -4 -2
-1 -3 -1 -1 -4 -2 -2 -3 -1 -3 -2 -2  7 -1 -2 -1 -1 -2 -4 -3
-1 -3  0  2 -3 -2  0 -3  1 -2  0  0 -1  5  1  0 -1 -2 -2 -1
-1 -3 -2  0 -3 -2  0 -3  2 -2 -1  0 -2  1  5 -1 -1 -3 -3 -2
 1 -1  0  0 -2  0 -1 -2  0 -2 -1  1 -1  0 -1  4  1 -2 -3 -2
 0 -1 -1 -1 -2 -2 -2 -1 -1 -1 -1  0 -1 -1 -1  1  5  0 -2 -2
 0 -1 -3 -2 -1 -3 -3  3 -2  1  1 -3 -2 -2 -3 -2  0  4 -3 -1
-3 -2 -4 -3  1 -2 -2 -3 -3 -2 -1 -4 -4 -2 -3 -3 -2 -3 11  2
-2 -2 -3 -2  3 -3  2 -1 -2 -1 -1 -2 -3 -1 -2 -2 -2 -1  2  7
"""
"""Half-bits, rows and columns in the order of `LETTERS` (Henikoff and Henikoff 1992)."""


@dataclass(frozen=True)
class SequenceConfig:
    """Shape of the head.

    Attributes
    ----------
    encoder : `BUILTIN` or the name of an ESM-2 model
    embedding : numbers per residue that the encoder gives
    width : channels per candidate
    layers : rounds of messages before candidates attend to the sequences; one more comes after
    neighbours : candidates that each one hears
    """

    encoder: str = BUILTIN
    embedding: int = BUILTIN_WIDTH
    width: int = 64
    layers: int = 3
    neighbours: int = 16

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest of the weights."""
        return asdict(self)


def encode_builtin(letters: str) -> Tensor:
    """Embeddings (L, `BUILTIN_WIDTH`) of a sequence without any learned model; other letters count as unknown."""
    index = torch.tensor([LETTERS.find(letter) % 21 for letter in letters], dtype=torch.long)
    table = torch.tensor([float(value) for value in BLOSUM62.split()]).view(20, 20) / 4
    rows = torch.cat([table, torch.zeros(1, 20)])[index]
    rate = torch.exp(-math.log(1000.0) * torch.arange(8) / 7)
    angle = torch.arange(len(letters))[:, None] * rate
    return torch.cat([functional.one_hot(index, 21).float(), rows, angle.sin(), angle.cos()], dim=1)


@dataclass
class CandidateFeatures:
    """What the head sees of N candidates, the same in every orientation.

    Attributes
    ----------
    nodes : (N, `NODE_FEATURES`) log type probabilities, presence, secondary structure, crowding
    neighbours : (N, k) indices of the nearest candidates
    edges : (N, k, `EDGE_FEATURES`) distance, position and orientation of the neighbour, and whether it may be next
    """

    nodes: Tensor
    neighbours: Tensor
    edges: Tensor


def candidate_features(
    xyz: Tensor, presence: Tensor, types: Tensor, structure: Tensor, after: Tensor, before: Tensor, neighbours: int
) -> CandidateFeatures:
    """Features of candidates from positions (N, 3) in angstrom and what was predicted there.

    Parameters
    ----------
    xyz : (N, 3) angstrom
    presence : (N,) probability of a C-alpha
    types : (N, 20) log probabilities
    structure : (N, 3) probabilities of coil, helix, strand
    after, before : (N, 3) unit vectors to the next and the previous C-alpha
    neighbours : number of neighbours to take, fewer where there are fewer candidates
    """
    count = min(neighbours, len(xyz) - 1)
    chosen, crowding = [], []
    for first in range(0, len(xyz), 1024):
        distance = torch.cdist(xyz[first : first + 1024], xyz, compute_mode="donot_use_mm_for_euclid_dist")
        crowding.append(torch.stack([(distance < radius).sum(dim=1) - 1 for radius in CROWDING], dim=1))
        distance[torch.arange(len(distance)), torch.arange(first, first + len(distance))] = torch.inf
        chosen.append(distance.topk(count, dim=1, largest=False).indices)
    index = torch.cat(chosen)
    crowded = torch.cat(crowding) / torch.tensor([radius**3 / 100 for radius in CROWDING], device=xyz.device)
    nodes = torch.cat([types.clamp_min(LOG_FLOOR) / LOG_SCALE, presence[:, None], structure, crowded], dim=1)
    frames = residue_frames(after, before)
    vector = xyz[index] - xyz[:, None]
    distance = vector.norm(dim=2, keepdim=True)
    local = torch.einsum("nab,nkb->nka", frames, vector / distance.clamp_min(1e-6))
    turn = torch.einsum("nab,nkcb->nkac", frames, frames[index]).flatten(2)
    radial = torch.exp(-((distance - torch.linspace(2, 20, 16, device=xyz.device)) ** 2) / 1.5)

    def fits(direction: Tensor, way: Tensor) -> Tensor:
        return torch.exp(-(way - STEP * direction).square().sum(dim=2, keepdim=True) / 4)

    follows = [
        fits(after[:, None], vector),
        fits(before[:, None], vector),
        fits(after[index], -vector),
        fits(before[index], -vector),
    ]
    return CandidateFeatures(nodes, index, torch.cat([radial, local, turn, *follows], dim=2))


class MessageLayer(nn.Module):
    """One round of messages between neighbours, then a perceptron; both pre-normalised and added to (N, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.own = nn.Linear(width, width)
        self.other = nn.Linear(width, width, bias=False)
        self.edge = nn.Linear(EDGE_FEATURES, width, bias=False)
        self.message = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Dropout(0.1), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, neighbours: Tensor, edges: Tensor) -> Tensor:
        """Candidates (N, width), neighbours (N, k), edges (N, k, `EDGE_FEATURES`)."""
        y = self.norm1(x)
        heard = functional.silu(self.own(y)[:, None] + self.other(y)[neighbours] + self.edge(edges))
        x = x + self.message(heard).sum(dim=1) / math.sqrt(max(1, neighbours.shape[1]))
        return x + self.perceptron(self.norm2(x))


def local_types(types: Tensor, neighbours: Tensor, edges: Tensor) -> Tensor:
    """Types (N, 2 `SHIFTS` + 1, C) expected so many residues before and after each candidate, from types (N, C).

    Expectation over walks to neighbours that may be next, and whose previous one may be this; where nothing follows,
    0 comes instead.
    """
    found = {0: types}
    for sign, ours, theirs in ((1, -4, -1), (-1, -3, -2)):
        likely = edges[..., ours] * edges[..., theirs]
        likely = likely / (likely.sum(dim=1, keepdim=True) + 0.1)
        for shift in range(1, SHIFTS + 1):
            found[sign * shift] = torch.einsum("nk,nkc->nc", likely, found[sign * (shift - 1)][neighbours])
    return torch.stack([found[shift] for shift in range(-SHIFTS, SHIFTS + 1)], dim=1)


class SequenceHead(nn.Module):
    """Corrects the types of candidates, and says which residue of the sequences each one looks like."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.nodes = nn.Linear(NODE_FEATURES, width)
        self.layers = nn.ModuleList(MessageLayer(width) for _ in range(config.layers))
        self.residues = nn.Linear(config.embedding, width)
        self.context = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(2))
        self.query = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.key = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        self.value = nn.Linear(width, width)
        self.null_key = nn.Parameter(torch.zeros(1, width))
        self.null_value = nn.Parameter(torch.zeros(1, width))
        self.shift_weight = nn.Parameter(torch.full((2 * SHIFTS + 1,), 0.3))
        self.background = nn.Parameter(torch.full((20,), -3.0))
        self.last = MessageLayer(width)
        self.types = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 20))
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(
        self, nodes: Tensor, neighbours: Tensor, edges: Tensor, embeddings: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Correction of the log type probabilities (N, 20), and attention logits (N, 1 + sum of lengths).

        The first column of the logits is the null key: none of these residues. `embeddings` has a tensor
        (length, `config.embedding`) for each distinct sequence, of which the first 20 columns are one-hot types; with
        none, the null key takes all.
        """
        x = self.nodes(nodes)
        for layer in self.layers:
            x = layer(x, neighbours, edges)
        read = [self._read(sequence) for sequence in embeddings]
        keys = torch.cat([self.null_key, *(self.key(residues) for residues in read)])
        values = torch.cat([self.null_value, *(self.value(residues) for residues in read)])
        logits = (self.query(x) @ keys.T / math.sqrt(keys.shape[1])).float()
        if embeddings:
            odds = LOG_SCALE * nodes[:, :20].float() - self.background
            expected = local_types(odds, neighbours, edges.float()) * self.shift_weight[:, None]
            letters = torch.cat([_shifted(sequence[:, :20]) for sequence in embeddings]).float()
            logits = torch.cat([logits[:, :1], logits[:, 1:] + expected.flatten(1) @ letters.flatten(1).T], dim=1)
        x = x + logits.softmax(dim=1).to(values.dtype) @ values
        x = self.last(x, neighbours, edges)
        return self.gate * self.types(x), logits

    def _read(self, embeddings: Tensor) -> Tensor:
        """Residues (length, width) in the context of their sequence."""
        x = self.residues(embeddings)
        for convolution in self.context:
            x = x + functional.silu(convolution(x.T[None])[0].T)
        return x


def _shifted(letters: Tensor) -> Tensor:
    """Types (L, 2 `SHIFTS` + 1, 20) of the residues before and after each residue from one-hot types (L, 20)."""
    padded = functional.pad(letters, (0, 0, SHIFTS, SHIFTS))
    return padded.unfold(0, 2 * SHIFTS + 1, 1).transpose(1, 2)
