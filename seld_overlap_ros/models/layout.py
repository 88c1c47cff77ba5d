"""What the networks are made of, as numbers: their channels, and name and shape of every tensor of a checkpoint.

No torch in here: whoever computes with the networks, with torch or without, builds them from these.
"""

from __future__ import annotations

from itertools import pairwise

from seld_overlap_ros.config import SystemConfig

CLASSIFIER_CHANNELS = (64, 64, 128, 128, 256, 256, 512, 512)  # of SSL and SSC, at width 1: paper scale P
CLASSIFIER_HIDDEN = 1024
ENCODER_CHANNELS = (64, 128, 256, 512, 512, 512)  # of SSS
DECODER_CHANNELS = (512, 512, 256, 128, 64)
LEAK = 0.2  # of its LeakyReLU
MEL_BLOCKS = ((64,), (128,), (256, 256), (512, 512), (1024, 1024))  # of SSC on mel bands; a MaxPool2 after each block

Shapes = dict[str, tuple[int, ...]]
COUNTER = "num_batches_tracked"  # ends the name of the one kind of tensor that is no weight


def scaled(channels: int, width: float) -> int:
    """Channel count at a width factor; at least 1."""
    return max(1, round(channels * width))


def network_names(config: SystemConfig) -> tuple[str, ...]:
    """What the tensors of each network of a system begin with."""
    return ("ssl", *(f"sss.{n}" for n in range(config.n_sss)), "ssc")


def shapes(config: SystemConfig) -> Shapes:
    """Name -> shape of every tensor of a system. Raises ValueError for mel bands that no SSC can have."""
    n_features, n_directions, n_classes = config.n_features, len(config.azimuths), len(config.labels)
    found = _under("ssl.layers", _classifier(n_features, n_directions, config.width))
    for n in range(config.n_sss):
        found |= _under(f"sss.{n}", _separator(config.n_sss_planes, config.width))
    if config.mel_bands:
        return found | _under("ssc", _mel_classifier(config.mel_bands, n_classes, config.width))
    return found | _under("ssc.layers", _classifier(1, n_classes, config.width))


def mel_heights(n_bands: int) -> int:
    """Rows that are left of mel bands after the last block. Raises ValueError if they cannot be halved so often."""
    most = 2 ** len(MEL_BLOCKS)
    if n_bands < 1 or n_bands % most:
        raise ValueError(f"mel bands must be a multiple of {most}, got {n_bands}")
    return n_bands // most


def _classifier(n_in: int, n_out: int, width: float) -> Shapes:
    """Of blocks.conv_classifier: four layers a block, of which two have tensors, and at the end two linear ones."""
    channels = [n_in, *(scaled(each, width) for each in CLASSIFIER_CHANNELS)]
    hidden, n_blocks = scaled(CLASSIFIER_HIDDEN, width), len(CLASSIFIER_CHANNELS)
    found: Shapes = {}
    for block, (before, after) in enumerate(pairwise(channels)):
        found |= _weight_and_bias(f"{4 * block}", (after, before, 3, 3), after) | _norm(f"{4 * block + 1}", after)
    found |= _weight_and_bias(f"{4 * n_blocks + 1}", (hidden, channels[-1]), hidden)
    return found | _weight_and_bias(f"{4 * n_blocks + 4}", (n_out, hidden), n_out)


def _separator(n_in: int, width: float) -> Shapes:
    """Of sss_net.SssNet."""
    encoder = [n_in, *(scaled(each, width) for each in ENCODER_CHANNELS)]
    decoder = [scaled(each, width) for each in DECODER_CHANNELS]
    skips = [0, *encoder[-2:0:-1]]  # what each decoder stage, and the mask, takes beside the stage before
    found: Shapes = {}
    for stage, (before, after) in enumerate(pairwise(encoder)):
        found |= _weight_and_bias(f"encoder.{stage}.0", (after, before, 3, 3), after)
        found |= _norm(f"encoder.{stage}.1", after)
    ins = [before + skip for before, skip in zip([encoder[-1], *decoder], skips, strict=True)]
    for stage, (before, after) in enumerate(zip(ins[:-1], decoder, strict=True)):
        found |= _weight_and_bias(f"decoder.{stage}.0", (before, after, 2, 2), after)
        found |= _norm(f"decoder.{stage}.1", after)
    return found | _weight_and_bias("mask", (ins[-1], 1, 2, 2), 1)


def _mel_classifier(n_bands: int, n_classes: int, width: float) -> Shapes:
    """Of ssc_net.MelSscNet: three layers a convolution, of which two have tensors, and one more a block."""
    found: Shapes = {}
    layer, before = 0, 1
    for block in MEL_BLOCKS:
        for channels in block:
            after = scaled(channels, width)
            found |= {f"layers.{layer}.weight": (after, before, 3, 3)} | _norm(f"layers.{layer + 1}", after)
            layer, before = layer + 3, after
        layer += 1
    return found | _weight_and_bias("head.1", (n_classes, 2 * before * mel_heights(n_bands)), n_classes)


def _weight_and_bias(name: str, shape: tuple[int, ...], n_out: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": (n_out,)}


def _norm(name: str, n: int) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (n,) for part in parts} | {f"{name}.{COUNTER}": ()}


def _under(name: str, inner: Shapes) -> Shapes:
    return {f"{name}.{each}": shape for each, shape in inner.items()}
