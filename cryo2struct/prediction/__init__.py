"""From a map to C-alpha candidates by the network."""
