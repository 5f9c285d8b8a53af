"""The enhancer's families: shapes, sizes of boxes, what each voxel can see."""

import pytest
import torch

from cryo2struct.networks.enhancer import Enhancer, EnhancerConfig, SwinConvolution
from cryo2struct.networks.store import load_enhancer, save_weights

FAMILIES = ("paired", "swin", "plain")


def small(family: str) -> Enhancer:
    torch.manual_seed(0)
    return Enhancer(EnhancerConfig(family, (16, 32, 32), 2))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(16, 16, 16), (32, 16, 48)])
def test_output_has_the_shape_of_the_input(family, shape):
    with torch.inference_mode():
        assert small(family)(torch.zeros(2, 1, *shape)).shape == (2, 1, *shape)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_learns(family):
    network = small(family)
    for parameter in network.parameters():  # some start at zero, which hides those behind them
        torch.nn.init.normal_(parameter, std=0.1)
    network(torch.randn(2, 1, 16, 32, 16)).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert silent == []


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_come_back_from_disk(family, tmp_path):
    network = small(family).half().float().eval()
    save_weights(tmp_path, "enhancer", network.state_dict(), {"config": network.config.as_dict()})
    again, entry = load_enhancer(tmp_path)
    assert again.config == network.config
    assert entry["config"]["family"] == family
    box = torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(again(box), network(box))


@pytest.mark.parametrize("shifted", [False, True])
def test_attention_stays_in_its_window(shifted):
    block = SwinConvolution(16, shifted)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(1, 8, 8, 8, 8)
    changed = x.clone()
    changed[0, :, 0, 0, 0] += torch.randn(8)
    with torch.inference_mode():
        difference = (block._attend(changed) - block._attend(x)).abs().sum(dim=1)[0].numpy()
    reach = 2 if shifted else 4  # the window of voxel 0 begins 2 before the box when it is shifted
    assert (difference[:reach, :reach, :reach] > 0).all()
    difference[:reach, :reach, :reach] = 0
    assert not difference.any()
