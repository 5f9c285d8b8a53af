"""A network that finds too little memory, for the tests of both networks."""

import torch


class Hungry(torch.nn.Module):
    """A network that needs more memory than there is for more than `limit` boxes at once."""

    def __init__(self, network, limit, error):
        super().__init__()
        self.network, self.limit, self.error = network, limit, error
        self.sizes = []

    def forward(self, boxes):
        self.sizes.append(len(boxes))
        if len(boxes) > self.limit:
            raise self.error
        return self.network(boxes)


MEMORY_ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: not enough memory: you tried to allocate"),
    MemoryError(),
]
