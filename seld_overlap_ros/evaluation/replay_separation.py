"""How well each sound of a bag was taken out of the mixture, where the bag has each true sound alone (`stems`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from seld_overlap_ros.evaluation.capi import capi_sdri
from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.matching import Matching
from seld_overlap_ros.evaluation.recording import Track
from seld_overlap_ros.evaluation.sdr import si_sdr

CLIP_S = 10.0  # CAPI-SDRi is one number a clip, and DCASE's clips are this long
SLIVER_S = 0.25  # of a sound that a clip's border cuts off: too little to say how well it was separated


def si_sdr_gains(matching: Matching, stems: Mapping[int, Track], mixture: Track,
                 separated: Mapping[int, Track]) -> dict[int, float]:
    """SI-SDR improvement [dB] of each true sound, by its id, that was found and has a stem.

    Over as long as the stem sounds: the SI-SDR of what was separated minus that of the mixture. All at one rate. A
    silent stem has none.
    """
    gains = {}
    for true, heard in matching.pairs:
        if true.id in stems and heard.id in separated:
            stem = stems[true.id].samples()
            if not stem.any():
                continue
            first = stems[true.id].start
            signals = np.stack([one.between(first, first + len(stem)) for one in (separated[heard.id], mixture)])
            after, before = si_sdr(signals, stem).tolist()
            gains[true.id] = after - before
    return gains


def capi_sdri_of_clips(truth: Sequence[Event], stems: Mapping[int, Track], heard: Sequence[Event],
                       separated: Mapping[int, Track], mixture: Track, duration_s: float) -> list[float]:
    """CAPI-SDRi [dB] of each CLIP_S of a bag whose sounds all have a stem; NaN for one in which nothing sounds.

    What a clip has a sliver of, or nothing but silence, does not count there.
    """
    classes = {label: n for n, label in enumerate(dict.fromkeys(event.label for event in (*truth, *heard)))}
    clips, rate = [], mixture.sample_rate
    for number in range(math.ceil(duration_s / CLIP_S)):
        start_s = number * CLIP_S
        end_s = min(start_s + CLIP_S, duration_s)
        first, end = round(start_s * rate), round(end_s * rate)
        true, said = ([event for event in events if _counts(event, start_s, end_s)]
                      for events in (truth, [event for event in heard if event.id in separated]))
        if first == end or any(event.id not in stems for event in true):  # the last may be less than a sample
            continue
        true = [event for event in true if stems[event.id].between(first, end).any()]
        references, estimates = (
            np.array([tracks[event.id].between(first, end) for event in events]).reshape(-1, end - first)
            for events, tracks in ((true, stems), (said, separated)))
        clips.append(capi_sdri(references, [classes[event.label] for event in true], estimates,
                               [classes[event.label] for event in said], mixture.between(first, end)))
    return clips


def _counts(event: Event, start_s: float, end_s: float) -> bool:
    """Whether a clip has more of a sound than a sliver, or most of a short one."""
    inside_s = min(event.end_s, end_s) - max(event.onset_s, start_s)
    return inside_s > 0 and inside_s >= min(SLIVER_S, event.duration_s / 2)
