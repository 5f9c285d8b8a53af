"""Training of the sequence head: streams of simulated candidate sets, losses, held-out figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import IterableDataset, get_worker_info

from cryo2struct.dataset.pack import StructurePack
from cryo2struct.errors import InputError
from cryo2struct.networks.encoders import Encoder, open_encoder
from cryo2struct.networks.sequence import CandidateFeatures, SequenceHead, candidate_features
from cryo2struct.training.candidates import NOBODY, UNSURE, CandidateSet, draw_set

DROPPED = 0.5
"""Share of the sets that are seen without sequences."""

DECOYS = 0.3
"""Share of the sets with the sequences of a structure that is not there."""


@dataclass
class SequenceExample:
    """A candidate set as the head sees it.

    Attributes
    ----------
    features : CandidateFeatures
    types : (N, 20) log type probabilities
    embeddings : of each distinct sequence (length, width); none where sequences are dropped
    aa : (N,) true type, -1 where there is none
    target : (N,) column of the attention: 1 + place in the sequences, 0 for none, `UNSURE` where not clear
    """

    features: CandidateFeatures
    types: Tensor
    embeddings: list[Tensor]
    aa: Tensor
    target: Tensor

    def to(self, device: torch.device) -> SequenceExample:
        """The same on another device."""
        f = self.features
        return SequenceExample(
            CandidateFeatures(f.nodes.to(device), f.neighbours.to(device), f.edges.to(device)),
            self.types.to(device),
            [sequence.to(device) for sequence in self.embeddings],
            self.aa.to(device),
            self.target.to(device),
        )


@dataclass
class SequenceBatch:
    """Examples that one step sees; they are passed through the head one by one."""

    examples: list[SequenceExample]

    def to(self, device: torch.device) -> SequenceBatch:
        """The same on another device."""
        return SequenceBatch([example.to(device) for example in self.examples])


def make_example(drawn: CandidateSet, encoder: Encoder, neighbours: int, dropped: bool) -> SequenceExample:
    """The set with its features, and the embeddings of its sequences unless they are dropped."""
    arrays = (drawn.xyz, drawn.presence, drawn.types, drawn.structure, drawn.after, drawn.before)
    xyz, presence, types, structure, after, before = map(torch.from_numpy, arrays)
    features = candidate_features(xyz, presence, types, structure, after, before, neighbours)
    place = np.full_like(drawn.residue, NOBODY) if dropped else drawn.residue
    target = torch.from_numpy(np.where(place == UNSURE, UNSURE, place + 1))
    embeddings = [] if dropped else [encoder(letters) for letters in drawn.letters]
    return SequenceExample(features, types, embeddings, torch.from_numpy(drawn.aa), target)


def encoder_of(config: dict[str, Any]) -> Encoder:
    """The encoder that a configuration names.

    Raises
    ------
    InputError
        It gives another number of values per residue than `network.embedding`.
    ResourceError
        See `open_encoder`.
    """
    encoder = open_encoder(config["network"]["encoder"], config["data"]["esm_weights"])
    width, found = config["network"]["embedding"], encoder("A").shape[1]
    if found != width:
        raise InputError(
            f"network.embedding is {width}: {config['network']['encoder']} gives {found} numbers per residue: "
            f"give --set network.embedding={found}"
        )
    return encoder


class SequenceStream(IterableDataset[tuple[SequenceBatch, Tensor]]):
    """Endless batches; batch k is a function of (seed, k) alone. There is no density: an empty tensor stands for it."""

    def __init__(self, pack: StructurePack, config: dict[str, Any], first_batch: int) -> None:
        self.pack = pack
        self.indices = np.array(pack.split("train"))
        size = pack.protein_residues[self.indices].astype(np.float64) ** 0.5
        self.probability = size / size.sum()
        self.batch_size = config["optimiser"]["batch"]
        self.neighbours = config["network"]["neighbours"]
        self.encoder = encoder_of(config)
        self.seed = config["seed"]
        self.first_batch = first_batch
        self.rank, self.ranks = 0, 1  # of N processes, process r takes batch N k + r at step k

    def batch(self, number: int) -> SequenceBatch:
        """Batch `number` of the stream."""
        rng = np.random.default_rng([self.seed, number])
        examples = []
        for index in rng.choice(self.indices, self.batch_size, p=self.probability):
            decoys = rng.choice(self.indices, 1).tolist() if rng.random() < DECOYS else []
            drawn = draw_set(self.pack, int(index), rng, decoys)
            examples.append(make_example(drawn, self.encoder, self.neighbours, bool(rng.random() < DROPPED)))
        return SequenceBatch(examples)

    def __iter__(self) -> Iterator[tuple[SequenceBatch, Tensor]]:
        worker = get_worker_info()
        step, start = (worker.num_workers, worker.id) if worker else (1, 0)
        number = self.first_batch + start
        while True:
            yield self.batch(number * self.ranks + self.rank), torch.empty(0)
            number += step


def head_output(network: nn.Module, example: SequenceExample) -> tuple[Tensor, Tensor]:
    """Corrected log type probabilities (N, 20) and log attention (N, 1 + sum of lengths) of an example."""
    f = example.features
    correction, logits = network(f.nodes, f.neighbours, f.edges, example.embeddings)
    return (example.types + correction.float()).log_softmax(dim=1), logits.float().log_softmax(dim=1)


def sequence_losses(network: nn.Module, batch: SequenceBatch) -> dict[str, Tensor]:
    """Cross-entropy of the corrected types and of the attention, nats; means over candidates, then over examples."""
    sums: dict[str, list[Tensor]] = {"aa": [], "attention": []}
    for example in batch.examples:
        types, attention = head_output(network, example)
        sums["aa"].append(_mean_loss(types, example.aa, -1))
        if example.embeddings:
            sums["attention"].append(_mean_loss(attention, example.target, UNSURE))
        else:  # of a single column: nothing to learn, but gradients of all weights exist
            sums["attention"].append(0 * attention.sum())
    return {name: torch.stack(values).mean() for name, values in sums.items()}


def _mean_loss(logs: Tensor, target: Tensor, ignored: int) -> Tensor:
    count = (target != ignored).sum().clamp_min(1)
    return functional.nll_loss(logs, target, ignore_index=ignored, reduction="sum") / count


@torch.inference_mode()
def validate_sequence(
    network: SequenceHead, pack: StructurePack, config: dict[str, Any], device: torch.device
) -> dict[str, float]:
    """Figures on fixed candidate sets of unseen structures.

    Returns `validate.NAME`: `types_before`, `types_without`, `types_with`, share of right types before the head and
    after it, without and with the sequences; `nats_...`, mean log probability of the right type; `attended`, share of
    true candidates whose most attended residue is the right one.
    """
    encoder = encoder_of(config)
    totals: dict[str, list[float]] = {}
    indices = pack.split("validate")
    for number in range(config["validate"]["sets"]):
        drawn = draw_set(pack, indices[number % len(indices)], np.random.default_rng([7, number]))
        example = make_example(drawn, encoder, config["network"]["neighbours"], dropped=False).to(device)
        known = example.aa >= 0
        aa = example.aa[known]
        seen = {"before": example.types, "without": head_output(network, replace(example, embeddings=[]))[0]}
        seen["with"], attention = head_output(network, example)
        for name, logs in seen.items():
            totals.setdefault(f"types_{name}", []).append(float((logs[known].argmax(dim=1) == aa).float().mean()))
            totals.setdefault(f"nats_{name}", []).append(float(logs[known].gather(1, aa[:, None]).mean()))
        sure = example.target > 0
        right = attention[sure, 1:].argmax(dim=1) + 1 == example.target[sure]
        totals.setdefault("attended", []).append(float(right.float().mean()))
    return {f"validate.{name}": sum(values) / len(values) for name, values in totals.items()}
