"""The page: all that was played and heard is on it, it needs no network, and what it embeds can be played and seen."""

import base64
import io
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import soundfile
from html_page import Page

from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.figures import Scene, azimuth_name, detection_rows, time_ticks, timeline
from seld_overlap_ros.evaluation.media import level_db, png
from seld_overlap_ros.evaluation.page import MAX_PLAYERS, Report, render

RATE = 16000
MIXTURE = 0.1 * np.random.default_rng(0).standard_normal(6 * RATE).astype(np.float32)


def report(**changes) -> Report:
    truth = [Event(1, math.pi / 2, "speech", 0.5, 2.0), Event(2, 0.0, "dog_bark", 1.0, 1.0),
             Event(3, math.pi, "cough", 4.0, 1.0)]
    heard = [Event(1, math.pi / 2, "speech", 0.6, 2.1, 0.9), Event(4, 0.0, "cough", 1.1, 1.0, 0.5),
             Event(5, -math.pi / 4, "speech", 3.0, 1.0, 0.4)]
    separated = {event.id: MIXTURE * 0.5 for event in heard}
    values = {"title": "A <b>test</b>", "lead": "Played & heard.", "mixture": MIXTURE, "sample_rate": RATE,
              "truth": truth, "detections": heard, "separated": separated, "credits": ("a clip by X & Y (CC0)",)}
    return Report(**{**values, **changes})


@pytest.fixture(scope="module")
def html() -> str:
    return render(report())


def test_the_page_needs_no_network(html):
    addresses = [value for _, attributes in Page(html).elements for name, value in attributes.items()
                 if name in ("src", "href", "srcset", "action", "poster", "data")]
    assert addresses and all(address.startswith("data:") for address in addresses)
    text = re.sub(r"data:[\w/]+;base64,[\w+/=]+", "", html)
    assert not re.search(r"https?:|//\w|@import|url\(|fetch\(|XMLHttpRequest|WebSocket", text)


def test_there_is_a_player_and_a_spectrogram_for_the_mixture_and_each_sound(html):
    page = Page(html)
    names = [player["aria-label"] for player in page.all("audio")]
    assert names == ["Play the mixture", "Play the separated speech, left 90°", "Play the separated cough, front 0°",
                     "Play the separated speech, −45°"]
    assert [image["alt"].removeprefix("Spectrogram of ") for image in page.all("img")] == [
        name.removeprefix("Play ") for name in names]
    assert all("controls" in player for player in page.all("audio"))


def test_the_players_play_what_was_heard_at_one_volume(html):
    played = []
    for player in Page(html).all("audio"):
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(player["src"].split(",")[1])))
        assert (rate, len(samples)) == (RATE, len(MIXTURE))
        played.append(samples)
    assert np.abs(played[0]).max() == pytest.approx(0.9, abs=1e-3)
    np.testing.assert_allclose(played[1], 0.5 * played[0], atol=1e-4)


def test_the_outcome_is_told(html):
    text = re.sub(r"<[^>]+>", " ", html)
    assert re.search(r"2\s+of 3\s+found", text) and re.search(r"1\s+of 3\s+found and named", text)
    for verdict, count in (("found, named", 2), ("found, misnamed", 2), ("missed", 1), ("not there", 3)):
        assert len(re.findall(verdict, text)) == count, verdict  # in the table, and at the player where there is one
    assert "in truth dog bark" in text


def test_a_sound_of_unknown_class_is_shown_as_such():
    text = re.sub(r"<[^>]+>", " ", render(report(detections=[Event(1, math.pi / 2, None, 0.6, 2.1, 0.3)])))
    assert "found, class unknown" in text and "in truth speech" in text
    assert not re.search(r"unknown\s+30", text) and not re.search(r"\bNone\b", text)


def test_what_comes_from_files_is_escaped(html):
    assert "A &lt;b&gt;test" in html and "Played &amp; heard." in html and "X &amp; Y" in html


@pytest.mark.parametrize("changes", [{"truth": ()}, {"detections": (), "separated": {}},
                                     {"truth": (), "detections": (), "separated": {}, "mixture": MIXTURE * 0}])
def test_a_page_with_little_on_it_is_whole(changes):
    page = Page(render(report(**changes)))
    assert len(page.all("audio")) == 1 + len(changes.get("separated", range(3)))


def test_a_sound_without_a_waveform_is_listed_without_a_player():
    html = render(report(separated={}))
    assert len(Page(html).all("audio")) == 1 and "left 90°" in html


def test_with_very_many_sounds_the_true_and_the_longest_have_players():
    extra = [Event(100 + k, 0.0, "cough", 5.0, 0.1 + 0.01 * k) for k in range(30)]
    shown = report(detections=[*report().detections, *extra],
                   separated={event.id: MIXTURE[:RATE] for event in [*report().detections, *extra]})
    html = render(shown)
    assert len(Page(html).all("audio")) == 1 + MAX_PLAYERS
    assert "9 more are not shown here" in html


def test_nothing_played_is_refused():
    with pytest.raises(ValueError, match="the mixture holds no samples"):
        render(report(mixture=np.zeros(0, np.float32)))


def test_the_timeline_is_well_formed_and_in_its_frame():
    shown = report()
    root = ET.fromstring(timeline(shown.scene))
    width, height = (float(root.get(side)) for side in ("width", "height"))
    boxes = [box for group in root.iter("g") for box in group.iter("rect")]
    assert len(boxes) == 6
    for box in boxes:
        left, top, w, h = (float(box.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= left and left + w <= width and 0 <= top and top + h <= height


def test_labels_of_one_sector_that_would_collide_go_to_two_rows():
    events = [Event(1, 0.0, "speech", 1.0, 1.0), Event(2, 0.0, "cough", 1.2, 1.0), Event(3, 0.0, "cough", 15.0, 1.0)]
    scene = Scene((), events, 20.0, math.pi / 4, {"speech": "#2f7ed8", "cough": "#e8590c"})
    assert [row for _, row in detection_rows(scene)] == [0, 1, 0]


@pytest.mark.parametrize(("degrees", "name"), [(0, "front 0°"), (90, "left 90°"), (-45, "−45°"), (180, "back 180°"),
                                               (-180, "back 180°"), (-179.9, "back 180°"), (450, "left 90°")])
def test_azimuths_in_words(degrees, name):
    assert azimuth_name(math.radians(degrees)) == name


def test_ticks_start_at_zero_and_are_few():
    assert time_ticks(20.0) == list(range(0, 21, 2))
    assert len(time_ticks(3600.0)) <= 11


def test_level_of_a_full_scale_sine():
    time = np.arange(RATE) / RATE
    level = level_db(np.sin(2 * np.pi * 1000 * time))
    assert level.shape[0] == 256
    assert level[32, 30] == pytest.approx(-6.0, abs=0.1)  # 1 kHz is bin 32


def test_png_is_what_an_independent_reader_sees():
    image = pytest.importorskip("matplotlib.image")
    indices = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 128, 255]], np.uint8)
    read = image.imread(io.BytesIO(png(indices, colours)))
    np.testing.assert_allclose(read[..., :3] * 255, colours[indices], atol=0.5)
