"""The page of stored mixtures: each with its sources alone, at one volume, and no network."""

import base64
import io

import numpy as np
import pytest
import soundfile
from html_page import Page
from tiny_mixtures import make_store

from seld_overlap_ros.evaluation.page import PEAK
from seld_overlap_ros.listening import write_listening_page


def test_each_mixture_can_be_heard_and_each_of_its_sources(tmp_path):
    store = make_store([{0: "a"}, {2: "b", 5: "c"}])
    write_listening_page(store, [1, 0], tmp_path / "new" / "page.html")
    html = (tmp_path / "new" / "page.html").read_text()
    sounds = [soundfile.read(io.BytesIO(base64.b64decode(player["src"].split(",")[1])))[0]
              for player in Page(html).all("audio")]
    assert len(sounds) == (1 + 2) + (1 + 1) and len(Page(html).all("img")) == len(sounds)
    loudest = max(np.abs(sound).max() for sound in sounds[:3])
    assert loudest == pytest.approx(PEAK, abs=1e-4)
    scene = store[1]
    signals = (scene.mixture[0], *scene.stems)
    gain = PEAK / max(np.abs(samples).max() for samples in signals)
    for sound, samples in zip(sounds[:3], signals, strict=True):
        np.testing.assert_allclose(sound, gain * samples, atol=1e-4)
    assert html.index("<h2>1 <small>") < html.index("<h2>0 <small>")
    assert "b <small>90°, 0.0 to 2.5 s" in html and "c <small>-135°, 0.2 to 2.5 s" in html
