"""The networks of ssl_net.py, sss_net.py and ssc_net.py as OpenVINO graphs, made of a checkpoint's tensors.

What they give is the same; how it is computed differs where that is faster:

- Features lie as dsp/features.py leaves them, (T, F, N), and planes (T, F): every kernel is turned for it.
- Batch norm is part of the convolution before it.
- The first convolution of SSS is linear. Its part that sees the features is computed once for all asked directions;
  that which sees the direction planes, each of one value, is one number a channel, but at two edges.
- A transposed convolution of 2 x 2 with stride 2 turns each pixel into four: a convolution of 1 x 1 with four times as
  many channels, spread out. The last one of SSS, the mask, is computed before those of the stage before it are spread.
- What a steered SSS sees in place of them is computed once too, and turned to each asked direction.
- How many directions are asked is fixed in a graph, which makes it a fifth faster than one for any number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from openvino import Model, Node, Type, opset1
from openvino import opset13 as ops

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.dsp.features import FLOOR_DB
from seld_overlap_ros.dsp.mel import FAINTEST_DB, FRAMES, RANGE_DB, mel_filters
from seld_overlap_ros.dsp.steering import beams, likeness_scale, steps_before
from seld_overlap_ros.models.layout import CLASSIFIER_CHANNELS, DECODER_CHANNELS, ENCODER_CHANNELS, LEAK, MEL_BLOCKS

Tensors = Mapping[str, np.ndarray]
NORM_EPSILON = 1e-5  # torch's


def ssl_model(tensors: Tensors, config: SystemConfig) -> Model:
    """Features (1, T, F, 2M-1) -> probability per direction (1, D)."""
    features = _features(config)
    return Model([ops.sigmoid(_classifier(_channels_first(features), tensors, "ssl.layers"))], [features], "SSL")


def sss_model(tensors: Tensors, config: SystemConfig, numbers: Sequence[int], n_asked: int) -> Model:
    """Features (1, T, F, 2M-1) and gains (K, D) -> log magnitude (K, T, F), of one SSS, or of two and the gate.

    A steered SSS takes of the features the magnitude alone (1, T, F, 1), and third what the likeness model gives.
    """
    gains, planes = _parameter(n_asked, len(config.azimuths)), None
    if config.steered:
        seen, likeness = (_parameter(*_plane(config), n) for n in (1, len(config.azimuths)))
        inputs, magnitude, planes = [seen, gains, likeness], seen, _turned(likeness, gains)
    else:
        seen = _features(config)
        inputs, magnitude = [seen, gains], ops.slice(seen, *(_integers(number) for number in ([0], [1], [1], [3])))
    masks = [_mask(_channels_first(seen), planes, gains, tensors, f"sss.{n}") for n in numbers]
    return Model([_gate([ops.multiply(mask, _squeeze(magnitude, 3)) for mask in masks])], inputs, "SSS")


def likeness_model(tensors: Tensors, config: SystemConfig) -> Model:
    """Of sss_net.Steering.likeness: features (1, T, F, 2M-1) -> (1, T, F, D). To be exact: beams differ little.

    As every bin has beams of its own, those are convolutions in groups of one bin, over frames of F (2M-1) channels.
    """
    features = _features(config)
    by_frame = ops.reshape(features, _integers([1, config.front_end.n_frames, -1]), False)
    channels = ops.transpose(by_frame, _integers([0, 2, 1]))  # (1, F (2M-1), T)
    parts = [_beams(channels, part) for part in np.split(beams(config), 2, axis=2)]  # real, imaginary: (1, F D, T)
    power = ops.add(*(ops.multiply(part, part) for part in parts))
    factor, offset = (_constant(part.reshape(1, -1, 1)) for part in likeness_scale(config))
    likeness = ops.clamp(ops.add(ops.multiply(power, factor), offset), -1, 1)
    likeness = ops.reshape(ops.transpose(likeness, _integers([0, 2, 1])), _integers([*_plane(config), -1]), False)
    return Model([likeness], [features], "likeness")


def _beams(channels: Node, factors: np.ndarray) -> Node:
    """Features (1, F (2M-1), T) and factors (F, 2M-1, D), the first of which are for a 1 -> (1, F D, T)."""
    of_phases = factors * (np.arange(factors.shape[1]) > 0)[:, None]  # 0 times the magnitude, to leave it where it is
    weight = _constant(of_phases.swapaxes(1, 2)[..., None])  # (F, D, 2M-1, 1)
    sums = ops.group_convolution(channels, weight, [1], [0], [0], [1])
    return ops.add(sums, _constant(factors[:, 0].reshape(1, -1, 1)))


def ssc_model(tensors: Tensors, config: SystemConfig, n_sources: int) -> Model:
    """Log magnitude (K, T, F), or what the mel model gives where there is one -> probability per class (K, C)."""
    front_end = config.front_end
    n_t, n_f = front_end.n_frames, front_end.n_bins
    planes = _parameter(n_sources, *((n_t // FRAMES, config.mel_bands) if config.mel_bands else (n_t, n_f)))
    classifier = _mel_classifier if config.mel_bands else _classifier
    logits = classifier(_unsqueeze(planes, 1), tensors, "ssc" if config.mel_bands else "ssc.layers")
    return Model([ops.softmax(logits, 1)], [planes], "SSC")


def mel_model(tensors: Tensors, config: SystemConfig, n_sources: int) -> Model:
    """Of MelSscNet.mel: log magnitude (K, T, F) -> (K, T/2, bands). To be exact: powers span 24 decades."""
    front_end = config.front_end
    planes = _parameter(n_sources, front_end.n_frames, front_end.n_bins)
    filters = _constant(mel_filters(config.mel_bands, front_end.n_bins, front_end.sample_rate))
    nepers = _constant(FLOOR_DB / 10 * np.log(10))  # from 0 to 1
    power = ops.exp(ops.multiply(ops.subtract(planes, _constant(1)), nepers))
    power = ops.reshape(power, _integers([0, -1, FRAMES, front_end.n_bins]), True)
    power = ops.reduce_mean(power, _integers([2]), False)
    bands = ops.add(ops.matmul(power, filters, False, True), _constant(10 ** (-FLOOR_DB / 10)))
    level_db = ops.multiply(ops.log(bands), _constant(10 / np.log(10)))
    highest = ops.maximum(ops.reduce_max(level_db, _integers([1, 2]), True), _constant(FAINTEST_DB))
    below = ops.divide(ops.subtract(level_db, highest), _constant(RANGE_DB))
    return Model([ops.relu(ops.add(below, _constant(1)))], [planes], "mel")


def _features(config: SystemConfig) -> Node:
    return _parameter(*_plane(config), config.n_features)


def _plane(config: SystemConfig) -> tuple[int, int, int]:
    """(1, T, F)."""
    return 1, config.front_end.n_frames, config.front_end.n_bins


def _classifier(x: Node, tensors: Tensors, name: str) -> Node:
    """Of blocks.conv_classifier: (B, N, T, F) -> (B, n_out) logits. One pixel is left at the end."""
    n_blocks = len(CLASSIFIER_CHANNELS)
    for block in range(n_blocks):
        weight, bias = _folded(tensors, f"{name}.{4 * block}", f"{name}.{4 * block + 1}")
        x = _halved(ops.relu(_convolution(x, weight, bias)))
    x = ops.relu(_linear(_squeeze(x, 2, 3), tensors, f"{name}.{4 * n_blocks + 1}"))
    return _linear(x, tensors, f"{name}.{4 * n_blocks + 4}")


def _mask(seen: Node, planes: Node | None, gains: Node, tensors: Tensors, name: str) -> Node:
    """Of sss_net.SssNet: (1, N, T, F), and planes (K, D, T, F) or gains (K, D) -> (K, T, F) in [0, 1]."""
    skips = [_first_stage(seen, planes, gains, *_folded(tensors, f"{name}.encoder.0.0", f"{name}.encoder.0.1"))]
    for stage in range(1, len(ENCODER_CHANNELS)):
        weight, bias = _folded(tensors, f"{name}.encoder.{stage}.0", f"{name}.encoder.{stage}.1")
        skips.append(_leaky(_convolution(skips[-1], weight, bias, stride=2)))
    x, last = skips.pop(), len(DECODER_CHANNELS) - 1
    for stage in range(last + 1):
        weight, bias = _folded(tensors, f"{name}.decoder.{stage}.0", f"{name}.decoder.{stage}.1", out_axis=1)
        x = ops.relu(ops.add(_of_pixels(x, _fourfold(weight)), _per_channel(np.tile(bias, 4))))
        if stage < last:
            x = ops.concat([_spread(x), skips.pop()], 1)
    weight, bias = _fourfold(tensors[f"{name}.mask.weight"]), tensors[f"{name}.mask.bias"]  # (4, N)
    n_last = weight.shape[1] - skips[0].output(0).get_shape()[1]
    of_last = _spread(_of_pixels(x, np.kron(np.eye(4), weight[:, :n_last])))  # the same for each of the four
    of_skip = ops.add(_of_pixels(skips.pop(), weight[:, n_last:]), _per_channel(np.tile(bias, 4)))
    return ops.sigmoid(_squeeze(_spread(ops.add(of_skip, of_last)), 1))


def _first_stage(seen: Node, planes: Node | None, gains: Node, weight: np.ndarray, bias: np.ndarray) -> Node:
    """(1, N_in, T, F), and planes or gains, -> (K, N, T/2, F/2), the part that is the same for all computed once."""
    n_seen, *shape = seen.output(0).get_shape()[1:]
    once = _convolution(seen, weight[:, :n_seen], bias, stride=2)
    if planes:
        return _leaky(ops.add(once, _convolution(planes, weight[:, n_seen:], np.zeros(len(bias)), stride=2)))
    return _leaky(ops.add(once, _of_planes(gains, weight[:, n_seen:], *(n // 2 for n in shape))))


def _turned(likeness: Node, gains: Node) -> Node:
    """Of sss_net.Steering: likeness (1, T, F, D) and gains (K, D) -> (K, D, T, F), the asked direction first."""
    n_t, n_f, n_directions = likeness.output(0).get_shape()[1:]
    asked = ops.gather(gains, _integers(steps_before(n_directions)), _integers([1]))  # (K, D, D)
    planes = ops.matmul(ops.reshape(likeness, _integers([1, -1, n_directions]), False), asked, False, True)
    return _channels_first(ops.reshape(planes, _integers([0, n_t, n_f, n_directions]), True))  # lies as convolutions do


def _of_planes(gains: Node, weight: np.ndarray, n_t: int, n_f: int) -> Node:
    """What gains (K, D) times planes of ones give after a convolution (N, D, 3, 3) with stride 2: (K, N, n_t, n_f).

    It differs only in the first row and the first column, where the kernel reaches over the edge.
    """
    inside = np.array([[0, 1, 1], [1, 1, 1]])  # which of three taps lie inside: at the edge, elsewhere
    answers = np.einsum("ndft,rt,cf->drcn", weight, inside, inside)  # (D, 2, 2, N)
    at = [np.eye(2)[np.minimum(np.arange(n), 1)] for n in (n_t, n_f)]  # (n, 2): at the edge, elsewhere
    where = np.einsum("tr,fc->tfrc", *at).reshape(-1, 4)
    by_place = ops.matmul(gains, _constant(answers.reshape(len(answers), -1)), False, False)
    by_place = ops.reshape(by_place, _integers([0, 4, answers.shape[-1]]), True)  # (K, 4, N)
    everywhere = ops.matmul(_constant(where), by_place, False, False)  # (K, n_t n_f, N)
    return _channels_first(ops.reshape(everywhere, _integers([0, n_t, n_f, answers.shape[-1]]), True))


def _gate(separated: list[Node]) -> Node:
    """Of gate.gate; a softmax over two is a sigmoid of their difference."""
    if len(separated) == 1:
        return separated[0]
    first, second = separated
    difference = ops.subtract(first, second)
    return ops.add(second, ops.multiply(ops.sigmoid(difference), difference))


def _mel_classifier(x: Node, tensors: Tensors, name: str) -> Node:
    """Of ssc_net.MelSscNet: (B, 1, T/2, bands) -> (B, C) logits."""
    layer = 0
    for block in MEL_BLOCKS:
        for _ in block:
            weight, bias = _folded(tensors, f"{name}.layers.{layer}", f"{name}.layers.{layer + 1}")
            x = ops.relu(_convolution(x, weight, bias))
            layer += 3
        x = _halved(x)
        layer += 1
    time = _integers([2])
    pooled = [reduce(x, time, False) for reduce in (ops.reduce_mean, ops.reduce_max)]  # (B, N, bands/32) each
    return _linear(ops.concat([ops.reshape(each, _integers([0, -1]), True) for each in pooled], 1), tensors,
                   f"{name}.head.1")


def _folded(tensors: Tensors, layer: str, norm: str, out_axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a convolution with the batch norm after it."""
    scale = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + NORM_EPSILON)
    bias = (tensors.get(f"{layer}.bias", 0) - tensors[f"{norm}.running_mean"]) * scale + tensors[f"{norm}.bias"]
    return tensors[f"{layer}.weight"] * np.expand_dims(scale, [axis for axis in range(4) if axis != out_axis]), bias


def _convolution(x: Node, weight: np.ndarray, bias: np.ndarray, stride: int = 1) -> Node:
    """3 x 3, over the edges too: (B, N_in, T, F) and (N, N_in, 3, 3), F first as everywhere else.

    A single input comes twice, with the first 16 bits of the weights and with the rest of them: in 16-bit arithmetic
    that costs nothing, and the first layer of SSC made most of its error.
    """
    if weight.shape[1] == 1:
        first = (np.ascontiguousarray(weight, np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
        x, weight = ops.concat([x, x], 1), np.concatenate([first, weight - first], axis=1)
    turned = _constant(np.swapaxes(weight, -1, -2))
    return ops.add(ops.convolution(x, turned, [stride] * 2, [1, 1], [1, 1], [1, 1]), _per_channel(bias))


def _of_pixels(x: Node, weight: np.ndarray) -> Node:
    """Convolution of 1 x 1: (B, N_in, T, F) and (N, N_in) -> (B, N, T, F)."""
    return ops.convolution(x, _constant(weight[..., None, None]), [1, 1], [0, 0], [0, 0], [1, 1])


def _fourfold(weight: np.ndarray) -> np.ndarray:
    """Of a transposed convolution (N_in, N, 2, 2): what each pixel gives to four (4 N, N_in), T before F before N."""
    return np.transpose(weight, (3, 2, 1, 0)).reshape(-1, len(weight))


def _spread(x: Node) -> Node:
    """(B, 4 N, T, F) -> (B, N, 2 T, 2 F)."""
    return ops.depth_to_space(x, "blocks_first", 2)


def _halved(x: Node) -> Node:
    return opset1.max_pool(x, [2, 2], [0, 0], [0, 0], [2, 2])


def _leaky(x: Node) -> Node:
    return ops.prelu(x, _constant([LEAK]))


def _linear(x: Node, tensors: Tensors, name: str) -> Node:
    product = ops.matmul(x, _constant(tensors[f"{name}.weight"]), False, True)
    return ops.add(product, _constant(tensors[f"{name}.bias"]))


def _channels_first(x: Node) -> Node:
    return ops.transpose(x, _integers([0, 3, 1, 2]))


def _squeeze(x: Node, *axes: int) -> Node:
    return ops.squeeze(x, _integers(axes))


def _unsqueeze(x: Node, axis: int) -> Node:
    return ops.unsqueeze(x, _integers([axis]))


def _per_channel(bias: np.ndarray) -> Node:
    return _constant(bias.reshape(1, -1, 1, 1))


def _parameter(*shape: int) -> Node:
    return ops.parameter(list(shape), Type.f32)


def _constant(values: object) -> Node:
    return ops.constant(np.ascontiguousarray(values, np.float32))


def _integers(values: Sequence[int]) -> Node:
    return ops.constant(np.array(values, np.int64))
