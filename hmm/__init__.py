"""Hidden-Markov decoding in which every state is visited at most once.

A general engine on arrays: `hmm.dense` decodes with full matrices, `hmm.sparse` with a neighbour list,
skipped symbols, local ends and chains that compete for states.
"""
