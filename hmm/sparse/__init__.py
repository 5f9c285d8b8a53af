"""Decoding over a neighbour list: skipped symbols, local ends, visit-once paths, chains competing for states."""

from hmm.sparse.compete import Competition, decode_chains
from hmm.sparse.decode import Decoder, Path
from hmm.sparse.links import Links, links_from_pairs
from hmm.sparse.posterior import posteriors
from hmm.sparse.stability import stability

__all__ = ["Competition", "Decoder", "Links", "Path", "decode_chains", "links_from_pairs", "posteriors", "stability"]
