"""A page to listen to: stored mixtures, each with its sources alone. One HTML file that needs no network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np

from seld_overlap_ros.config import FrontEnd
from seld_overlap_ros.evaluation.figures import plain
from seld_overlap_ros.evaluation.media import data_uri, flac, level_db, spectrogram_png
from seld_overlap_ros.evaluation.page import COLOURS, MIXTURE_COLOUR, PEAK
from seld_overlap_ros.simulation.mixture import Event, Scene
from seld_overlap_ros.simulation.store import MixtureStore


def write_listening_page(store: MixtureStore, indices: Iterable[int], page: Path) -> None:
    """Write a page of some mixtures of a store. Raises IndexError if it does not hold them."""
    template = Template(resources.files(__package__).joinpath("listening.html").read_text(encoding="utf-8"))
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(template.substitute(
        title="Mixtures to listen to",
        lead="Each mixture as microphone 0 hears it, and then each of its sources alone, as it hears them. The players "
             "of one mixture share one volume.",
        mixtures="".join(_section(index, store[index]) for index in indices),
    ), encoding="utf-8")  # fmt: skip


def _section(index: int, scene: Scene) -> str:
    signals = (scene.mixture[0], *scene.stems)
    gain = PEAK / max(np.abs(samples).max() for samples in signals)
    top_db = float(level_db(scene.mixture[0]).max())
    names = ("Mixture", *(_name(event) for event in scene.events))
    figures = "".join(
        _figure(name, samples, gain, top_db, colour)
        for name, samples, colour in zip(names, signals, (MIXTURE_COLOUR, *COLOURS), strict=False)
    )
    about = f"{escape(scene.room)}, {scene.snr_db:.1f} dB SNR"
    return f'<section><h2>{index} <small>{about}</small></h2><div class="row">{figures}</div></section>'


def _name(event: Event) -> str:
    span = f"{event.onset_s:.1f} to {event.onset_s + event.duration_s:.1f} s"
    exact = f"{math.degrees(event.azimuth):.0f}°"
    return f"{plain(event.label)} <small>{exact}, {span}</small>"


def _figure(name: str, samples: np.ndarray, gain: float, top_db: float, colour: str) -> str:
    rate = FrontEnd().sample_rate
    picture = data_uri(spectrogram_png(samples, top_db, colour), "image/png")
    sound = data_uri(flac(samples * gain, rate), "audio/flac")
    return (
        f'<figure><figcaption>{name}</figcaption><img alt="Spectrogram" src="{picture}">'
        f'<audio controls preload="metadata" src="{sound}"></audio></figure>'
    )
