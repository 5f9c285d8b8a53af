"""Viterbi decoding with full matrices in which every state is visited at most once."""

from hmm.dense.viterbi import decode_chains, path_score

__all__ = ["decode_chains", "path_score"]
