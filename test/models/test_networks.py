"""The networks are those of docs/reading.md: shapes, parameter counts, gate, query rule."""

import math

import pytest
import torch

from seld_overlap_ros.config import SYSTEMS, SystemConfig
from seld_overlap_ros.models.gate import gate, gate_weights
from seld_overlap_ros.models.ssc_net import MelSscNet, SscNet
from seld_overlap_ros.models.ssl_net import SslNet
from seld_overlap_ros.models.sss_net import SssNet
from seld_overlap_ros.models.system import System
from seld_overlap_ros.speed.floor import LaidOutMap


def n_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def tiny(system: str = "overlap", steered: bool = False) -> System:
    torch.manual_seed(0)
    return System(SystemConfig(labels=("a", "b", "c"), width=0.03, system=system, steered=steered)).eval()


def test_parameter_counts_at_paper_scale():
    assert n_parameters(SslNet(8, 8, 1.0)) == 5_229_640
    assert n_parameters(SssNet(SystemConfig(("a",)))) == 10_812_993
    assert n_parameters(SscNet(75, 1.0)) == 5_290_251


@pytest.mark.parametrize("system", SYSTEMS)
def test_shapes(system: str):
    model = tiny(system)
    assert len(model.sss) == (2 if system == "overlap" else 1)
    ssl, separated, ssc = model(torch.rand(2, 15, 256, 256), torch.tensor([0, 5]))
    assert ssl.shape == (2, 8) and separated.shape == (2, 256, 256) and ssc.shape == (2, 3)


def test_the_mel_classifier_is_another_ssc_and_nothing_else_changes():
    config = SystemConfig(labels=("a", "b", "c"), width=0.03, mel_bands=64)
    model = System(config).eval()
    assert model(torch.rand(2, 15, 256, 256), torch.tensor([0, 5]))[2].shape == (2, 3)
    assert SystemConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match="multiple of 32"):
        MelSscNet(3, 0.03, 40, 256, 16000)


def test_mel_bands_show_what_is_heard_and_not_how_loud_it_is():
    net = MelSscNet(3, 0.03, 64, 256, 16000)
    sound = 1 - torch.rand(1, 256, 8) / 3
    for level_db in (-20, -60):
        torch.testing.assert_close(net.mel(sound + level_db / 120), net.mel(sound), atol=1e-3, rtol=0)
    faint = net.mel(torch.cat([torch.full((1, 256, 4), 0.9), torch.full((1, 256, 4), 0.9 - 30 / 120)], dim=2))
    torch.testing.assert_close(faint[0, 0], torch.tensor([1, 1, 0.5, 0.5]))


def test_mel_bands_hold_the_power_of_the_bins_that_they_cover():
    net = MelSscNet(3, 0.03, 64, 256, 16000)
    tone = torch.zeros(1, 256, 4)
    tone[:, 64] = 1.0  # 2 kHz, in the middle of the mel scale's 0 to 4 kHz
    loudest = net.mel(tone)[0, :, 0].argmax().item()
    mel = [2595 * math.log10(1 + hz / 700) for hz in (30, 2000, 8000)]
    assert loudest == pytest.approx(65 * (mel[1] - mel[0]) / (mel[2] - mel[0]) - 1, abs=0.6)


def test_the_direction_map_is_planes_of_one_value_beside_the_features():
    sss = tiny().sss[0]
    given = torch.rand(2, 15, 256, 256), torch.rand(2, 8), sss.encoder[0][0]
    torch.testing.assert_close(sss.sight(*given), LaidOutMap()(*given))


def test_separation_is_a_mask_on_the_mixture():
    x = torch.rand(1, 15, 256, 256)
    separated = tiny().separate(x, torch.eye(8)[:1])
    assert (separated >= 0).all() and (separated <= x[:, 0]).all()


def test_query_is_soft_where_the_system_learnt_it_so():
    prob = torch.tensor([[0.1, 0.7, 0.2, 0, 0, 0, 0, 0]])
    q = torch.tensor([1])
    assert tiny("overlap").query(prob, q)[0].tolist() == pytest.approx([0, 0.7, 0, 0, 0, 0, 0, 0])
    assert tiny("cascade").query(prob, q)[0].tolist() == [0, 1, 0, 0, 0, 0, 0, 0]


def test_a_steered_sss_has_fewer_inputs_and_no_other_weights():
    paper, steered = tiny(), tiny(steered=True)
    assert steered.sss[0].encoder[0][0].in_channels == 9 and paper.sss[0].encoder[0][0].in_channels == 23
    assert steered.state_dict().keys() == paper.state_dict().keys()


@pytest.mark.parametrize("steered", [False, True])
def test_gradient_flows_from_the_class_to_the_localization(steered):
    model = tiny("overlap", steered)
    _, _, ssc = model(torch.rand(1, 15, 256, 256), torch.tensor([2]))
    ssc.sum().backward()
    assert model.ssl.layers[0].weight.grad.abs().sum() > 0


def test_gate_is_a_softmax_over_the_separations():
    separated = torch.rand(2, 2, 5, 7)
    weights = gate_weights(separated)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 5, 7))
    # with values in [0, 1] the parameter-free gate stays near an average
    assert weights.min() > 0.268 and weights.max() < 0.732
    same = separated[:, :1].expand(-1, 2, -1, -1)
    torch.testing.assert_close(gate(same), separated[:, 0])
