"""Candidates seen together with the sequences: the sequence head and its encoder."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cryo2struct.errors import InputError, ResourceError
from cryo2struct.networks.encoders import open_encoder
from cryo2struct.networks.sequence import SequenceHead, candidate_features
from cryo2struct.networks.store import load_sequence_head
from cryo2struct.objects import Candidates, Sequences
from cryo2struct.settings import SequenceSettings

ATTENTION_RANGE = 12.0
"""Attention scores are kept between plus and minus this, nats."""


@dataclass(frozen=True)
class ReadSequences:
    """The head, what the manifest says of it, and what its encoder says of the entities.

    Attributes
    ----------
    head : SequenceHead
    entry : of the manifest
    embeddings : (length, width) of each entity, None where it is no protein
    lengths : of the entities
    """

    head: SequenceHead
    entry: dict[str, Any]
    embeddings: list[Tensor | None]
    lengths: list[int]


def read_for_head(
    sequences: Sequences, settings: SequenceSettings, weights: Path, warn: Callable[[str], object] = warnings.warn
) -> ReadSequences:
    """Load the head and encode the proteins.

    Parameters
    ----------
    sequences : Sequences
    settings : SequenceSettings
        `features` is not "none".
    weights : folder of the shipped weights
    warn : called with a line when embeddings cannot be kept

    Raises
    ------
    ResourceError
        Weights cannot be read, or the head was made for another encoder or another width of embeddings.
    """
    folder = settings.head or weights
    head, entry = load_sequence_head(folder)
    made_for = f"{folder / entry['file']}: the head was made for {head.config.encoder}"
    if head.config.encoder != settings.features:
        raise ResourceError(
            f"{made_for}, not {settings.features}: use that, or train a head and give its folder as sequence.head"
        )
    encoder = open_encoder(settings.features, settings.esm_weights, warn)
    embeddings = [encoder(e.letters) if e.kind == "protein" else None for e in sequences.entities]
    for found in embeddings:
        if found is not None and found.shape[1] != head.config.embedding:
            raise ResourceError(
                f"{made_for} with {head.config.embedding} numbers per residue, the encoder gives {found.shape[1]}: "
                "give the weights that it was trained with"
            )
    return ReadSequences(head, entry, embeddings, [len(entity.letters) for entity in sequences.entities])


@torch.inference_mode()
def apply_head(candidates: Candidates, read: ReadSequences, weight: float = 1.0) -> Candidates:
    """Candidates with types corrected by `weight` times the correction, and with their attention to each residue.

    Attention scores are log odds, nats: of being this residue against being none of them; 0 for what is no protein.

    Raises
    ------
    InputError
        Directions or secondary structure of the candidates are not known.
    """
    known = (candidates.ss_prob, candidates.next_vec, candidates.prev_vec)
    if any(values is None for values in known):
        raise InputError(
            "candidates: no directions or secondary structure, which sequence features need: classify anew"
        )
    if len(candidates) < 2:
        return candidates
    ss, after, before = (torch.from_numpy(np.asarray(values, dtype=np.float32)) for values in known)
    xyz, presence = (torch.from_numpy(np.asarray(v, dtype=np.float32)) for v in (candidates.xyz, candidates.ca_prob))
    types = torch.from_numpy(np.log(np.asarray(candidates.aa_prob, dtype=np.float64) + 1e-6)).float().log_softmax(dim=1)
    features = candidate_features(xyz, presence, types, ss, after, before, read.head.config.neighbours)
    proteins = [found for found in read.embeddings if found is not None]
    correction, logits = read.head(features.nodes, features.neighbours, features.edges, proteins)
    odds = (logits[:, 1:] - logits[:, :1]).clamp(-ATTENTION_RANGE, ATTENTION_RANGE).to(torch.float16).numpy()
    attention = np.zeros((len(candidates), sum(read.lengths)), dtype=np.float16)
    protein = np.repeat([found is not None for found in read.embeddings], read.lengths)
    attention[:, protein] = odds
    corrected = (types + weight * correction).double().softmax(dim=1).numpy()
    return replace(candidates, aa_prob=corrected, attention=attention)
