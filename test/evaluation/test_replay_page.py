"""The page of an `evaluate`: whole, of one file, with all that was scored, and sounds as far as there is room."""

import base64
import io
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
import soundfile
from heard_bags import MIXTURE, RATE, STEMS, TRUTH, FakeEngine, evaluated, fake_bag, heard
from html_page import Page

from seld_overlap_ros.evaluation import replay_page
from seld_overlap_ros.evaluation.charts import BARS, confusion, histogram
from seld_overlap_ros.evaluation.recording import Track
from seld_overlap_ros.evaluation.replay import Look
from seld_overlap_ros.evaluation.replay_page import render, waves

LOOKS = (Look(0.0, {0: 0, 2: 0}), Look(3.0, {0: 0, 2: 0}))


def page(bags=None, **of_systems):
    """The page, and the JSON beside it, of the fake bag as two systems hear it."""
    bags = bags or [fake_bag(stems=STEMS)]
    good = heard(*TRUTH, looks=LOOKS, mixture=MIXTURE, separated=STEMS)
    misnamed = replace(TRUTH[1], label="dog", score=0.3)
    poor = heard(misnamed, looks=LOOKS, mixture=MIXTURE, separated={2: MIXTURE})
    of_systems = of_systems or {"good": [good], "poor": [poor]}
    result = evaluated(bags, {name: FakeEngine(1) for name in of_systems}, **of_systems)
    return render(result, waves(bags, of_systems)), result


@pytest.fixture(scope="module")
def html():
    return page()[0]


def test_the_page_needs_no_network(html):
    addresses = [attributes[name] for tag in ("img", "audio", "link", "script") for attributes in Page(html).all(tag)
                 for name in ("src", "href") if name in attributes]
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert not re.search(r"url\(|@import|https?:", html)


def test_every_true_sound_can_be_heard_in_the_mixture_alone_and_as_each_system_took_it(html):
    players = Page(html).all("audio")
    assert [one["aria-label"] for one in players] == [
        "Play mixture", "Play true sound alone", "Play good",  # the dog, which poor did not find
        "Play mixture", "Play true sound alone", "Play good", "Play poor"]
    sound = io.BytesIO(base64.b64decode(players[1]["src"].split(",")[1]))
    samples, rate = soundfile.read(sound)
    assert rate == RATE and len(samples) == round((0.3 + 2.0 + 0.7) * RATE)  # with what is around it
    assert not samples[: round(0.29 * RATE)].any() and samples[RATE : 2 * RATE].any()


def test_the_scores_verdicts_and_reasons_are_told(html):
    text = re.sub(r"<[^>]*>", " ", html)
    for said in ("2 systems heard bag", "8 s of audio, 2 true sounds of 2 classes", "✓ named 100", "✗ not found",
                 "◐ dog 30", "SSS: the clean sound is named, the separated one is not", "tracks: named in its window",
                 "good against poor", "+1.000, p = 0.500", "90°"):
        assert said in text, said


def test_the_pictures_are_well_formed(html):
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(pictures) == 2 * 2 + 2 + 2  # axis and timeline, confusion, delays of each
    for picture in pictures:
        ET.fromstring(picture)


def test_a_timeline_has_the_sectors_of_its_system():
    eight = heard(*TRUTH, mixture=MIXTURE)
    html, _ = page(**{f"of {n}": [replace(eight, half_sector=math.pi / n)] for n in (8, 4, 5)})
    axes = re.findall(r'<svg class="axis".*?</svg>', html, re.DOTALL)
    eight, four, five = (re.findall(r"<text[^>]*>([^<]*)<", axis) for axis in axes)
    assert eight == ["−135°", "right −90°", "−45°", "front 0°", "45°", "left 90°", "135°", "back 180°"]
    assert four == ["right −90°", "front 0°", "left 90°", "back 180°"]
    assert five == ["−144°", "−72°", "front 0°", "72°", "144°"]


def test_what_comes_from_files_is_escaped():
    odd = replace(TRUTH[0], label="<script>alert(1)</script>")
    one = heard(odd, notes=("<script>alert(2)</script>",), mixture=MIXTURE)
    bag = fake_bag((odd,), name="<script>alert(3)<")
    bag.credits = ["<script>alert(4)</script>"]
    html, _ = page([bag], **{"<script>alert(5)</script>": [one]})
    assert Page(html).all("script") == [{}] and "&lt;script" in html


def test_what_one_system_could_not_hear_is_shown_of_the_others_and_none_is_called_best():
    bags = [fake_bag(stems=STEMS, name="one"), fake_bag(stems=STEMS, name="two")]
    good = heard(*TRUTH, looks=LOOKS, mixture=MIXTURE, separated=STEMS)
    html, _ = page(bags, good=[good, good], dead=[good, heard(n_windows=0, notes=("not played",))])
    assert [one["aria-label"] for one in Page(html).all("audio")].count("Play good") == 4
    assert [one["aria-label"] for one in Page(html).all("audio")].count("Play dead") == 2
    assert '<b class="good">' not in html and html.count('<th scope="col">sounds</th>') == 1  # of the systems alone
    assert "2 named, 2 found of 2" in html and "1 named, 1 found of 1" in html
    assert html.count('<svg class="axis"') == 3 and html.count("It could not be heard.") == 1
    assert "two cannot be heard by dead, and counts for the other systems alone: not played" in html
    for alike, _ in (page(), page(bags, good=[good, good], poor=[good, heard(mixture=MIXTURE)])):
        assert '<b class="good">' in alike and " found of " not in alike
        assert alike.count('<th scope="col">sounds</th>') == 3  # of the groups alone


def test_where_each_system_hears_another_bag_each_is_shown_of_its_own():
    bags, deaf = [fake_bag(name="one"), fake_bag((*TRUTH, replace(TRUTH[0], id=3, onset_s=6.0)), name="two")], heard(
        n_windows=0)
    html, result = page(bags, four=[heard(*TRUTH), deaf], eight=[deaf, heard(*TRUTH)])
    assert "1 named, 1 found of 1" in html and "1 named, 1 found of 2" in html
    assert result["compared"] == [] and '<th scope="col">On the same sounds</th>' not in html


def test_the_mixture_is_of_a_system_that_could_hear_the_bag():
    deaf, good = heard(n_windows=0, mixture=Track(RATE)), heard(*TRUTH, looks=LOOKS, mixture=MIXTURE, separated=STEMS)
    html, _ = page(deaf=[deaf], good=[good])
    mixture, *_ = Page(html).all("audio")
    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(mixture["src"].split(",")[1])))
    assert mixture["aria-label"] == "Play mixture" and samples.any()


def test_what_no_system_could_hear_counts_for_none_and_how_many_counted_is_said():
    deaf = heard(n_windows=0)
    html, _ = page([fake_bag(name="one"), fake_bag(name="two")], good=[heard(*TRUTH), deaf], poor=[heard(), deaf])
    assert "4 true sounds" in html and html.count('<th scope="col">sounds</th>') == 4
    assert '<td><b class="good">1.000</b>' in html and '<td><b class="good">2</b>' not in html


@pytest.mark.parametrize("bag", [fake_bag(None), fake_bag(()), fake_bag(duration_s=0.4), fake_bag(duration_s=0.0)])
def test_a_page_with_little_on_it_is_whole(bag):
    for one in (heard(), heard(n_windows=0)):
        html, result = page([bag], ear=[one])
        Page(html)
        assert all(sentence in html for sentence in result["problems"])


def test_sounds_on_which_the_systems_differ_are_shown_before_others_where_room_is_short(monkeypatch):
    monkeypatch.setattr(replay_page, "MAX_SOUNDS", 1)
    both = heard(*TRUTH, looks=LOOKS, mixture=MIXTURE)
    one = heard(TRUTH[1], looks=LOOKS, mixture=MIXTURE)
    html, _ = page(a=[both], b=[heard(TRUTH[0], looks=LOOKS, mixture=MIXTURE)])
    assert "<h3>2 speech</h3>" in html and "<h3>1 dog</h3>" not in html and "1 more are not shown" in html
    html, _ = page(a=[both], b=[one])
    assert "<h3>1 dog</h3>" in html and "<h3>2 speech</h3>" not in html
    monkeypatch.setattr(replay_page, "MAX_LETTERS", 1000)
    assert "2 more are not shown" in page(a=[both])[0]


def test_a_sound_that_there_is_no_room_for_leaves_it_to_those_after_it(monkeypatch):
    one = [heard(*TRUTH, looks=LOOKS, mixture=MIXTURE)]
    cards, make = [], replay_page._card

    def card(*of):
        cards.append(make(*of) + " " * (10**6 if not cards else 0))  # the first one is long
        return cards[-1]

    monkeypatch.setattr(replay_page, "_card", card)
    monkeypatch.setattr(replay_page, "MAX_LETTERS", 10**6)
    html, _ = page(a=one)
    assert "1 more are not shown" in html and cards[1] in html


def test_live_latencies_are_drawn_where_there_are_some(html):
    assert "Live:" not in html
    live, _ = page(live=[heard(*TRUTH, latency_s=(0.13, 0.125, 0.31))])
    assert "Live:" in live and "median 0.13 s" in live and "<title>2 from 0.12 to 0.14 s" in live


def test_a_histogram_keeps_what_lies_beyond_in_the_last_bar():
    drawn = ET.fromstring(histogram([0.1, 0.1, 99.0], 0.5, "times"))
    assert [one.text for one in drawn.iter("title")] == [
        "2 from 0 to 0.5 s", f"1 from {(BARS - 1) / 2:g} to {BARS / 2:g} s"]


def test_a_confusion_matrix_has_a_place_for_what_was_missed_and_for_what_was_not_there():
    drawn = ET.fromstring(confusion([{"true": "dog", "said": "dog", "n": 3}, {"true": "dog", "said": None, "n": 1},
                                     {"true": None, "said": "cat", "n": 2}], "ear"))
    assert [one.text for one in drawn.iter("title")] == [
        "dog: 3 times dog", "dog: 1 times not found", "nothing there: 2 times cat"]
