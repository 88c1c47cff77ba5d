"""The terminal: live lines where nothing can move, a live table where it can, and the outcome."""

import io
import math
from contextlib import closing

import pytest
from rich.console import Console

from seld_overlap_ros.evaluation.events import Event
from seld_overlap_ros.evaluation.matching import match
from seld_overlap_ros.evaluation.terminal import N_ROWS, Display, arrow, in_words, summary

BARK = Event(2, -math.pi / 4, "dog_bark", 2.6, 1.4, 0.7)


def shown(*views, **console) -> str:
    out = io.StringIO()
    with closing(Display(Console(file=out, width=100, **console))) as display:
        for events, now_s in views:
            display.show(events, now_s)
    return out.getvalue()


def test_each_sound_is_told_once_and_again_when_its_name_changes():
    louder = Event(2, -math.pi / 4, "dog_bark", 2.6, 2.0, 0.9)
    renamed = Event(2, -math.pi / 4, "cough", 2.6, 2.0, 0.5)
    lines = shown(([BARK], 4.1), ([louder], 4.6), ([renamed], 5.1)).splitlines()
    assert [line.split() for line in lines] == [
        ["2.6", "s", "#2", "new", "↗", "−45°", "dog", "bark", "70", "%"],
        ["2.6", "s", "#2", "is", "now", "↗", "−45°", "cough", "50", "%"],
    ]


def test_a_sound_of_unknown_class_is_told_as_such_and_named_later():
    unknown = Event(2, -math.pi / 4, None, 2.6, 1.4, 0.3)
    lines = shown(([unknown], 4.1), ([unknown], 4.6), ([BARK], 5.1)).splitlines()
    assert [line.split()[3:] for line in lines] == [
        ["new", "↗", "−45°", "unknown"], ["is", "now", "↗", "−45°", "dog", "bark", "70", "%"]]
    assert "unknown" in shown(([unknown], 4.1), force_terminal=True)
    assert "30 %" not in shown(([unknown], 4.1), force_terminal=True)


def test_a_terminal_shows_the_latest_rows_and_how_far_it_has_listened():
    events = [Event(100 + k, 0.0, "speech", 0.5 * k, 0.4) for k in range(N_ROWS + 2)]
    out = shown((events, 12.25), force_terminal=True)
    assert "listened to 12.2 s" in out
    assert "113" in out and "102" in out and "101" not in out


def test_what_still_sounds_is_marked():
    assert "●" in shown(([BARK], 4.1), force_terminal=True)
    assert "●" not in shown(([BARK], 4.6), force_terminal=True)


@pytest.mark.parametrize(("degrees", "expected"), [(0, "↑"), (90, "←"), (180, "↓"), (-90, "→"), (45, "↖"), (-22, "↑"),
                                                   (-135, "↘")])
def test_arrows_point_as_seen_from_above(degrees, expected):
    assert arrow(math.radians(degrees)) == expected


def test_the_outcome_in_order_of_the_true_onsets_with_what_was_not_there_at_the_end():
    speech = Event(1, math.pi / 2, "speech", 0.5, 2.0)
    heard = [Event(8, 0.0, "cough", 0.2, 0.1, 0.4), Event(9, math.pi / 2, "cough", 0.6, 2.0, 0.5)]
    matching = match([BARK, speech], heard)
    console = Console(file=io.StringIO(), width=100)
    console.print(summary(matching))
    lines = [line.split() for line in console.file.getvalue().splitlines()[1:]]
    assert lines == [
        ["0.5", "s", "speech", "←", "left", "90°", "cough", "←", "left", "90°", "50", "%", "found,", "misnamed"],
        ["2.6", "s", "dog", "bark", "↗", "−45°", "missed"],
        ["0.2", "s", "cough", "↑", "front", "0°", "40", "%", "not", "there"],
    ]
    assert in_words(matching) == "found 1 of 2, named 0 of 2, 1 heard that were not there"


@pytest.mark.parametrize("label", ["[/x]", "[red]x", ":bell:"])
def test_a_label_that_looks_like_markup_is_shown_as_it_is(label):
    odd = Event(2, 0.0, label, 2.6, 1.4, 0.7)
    assert label in shown(([odd], 4.1), force_terminal=True)
    console = Console(file=io.StringIO(), width=100)
    console.print(summary(match([odd], [odd])))
    assert console.file.getvalue().count(label) == 2


def test_a_found_sound_of_unknown_class_is_not_misnamed():
    matching = match([BARK], [Event(9, -math.pi / 4, None, 2.6, 1.4, 0.3)])
    console = Console(file=io.StringIO(), width=100)
    console.print(summary(matching))
    assert "found, unknown" in console.file.getvalue()
    assert in_words(matching).startswith("found 1 of 1, named 0 of 1")


def test_the_outcome_fits_into_80_columns():
    true = Event(1, math.radians(-133), "footstep_hard", 11.2, 2.0)
    others = [Event(9, math.radians(azimuth), label, 11.2, 2.0, 0.5)
              for azimuth, label in ((-90, "speech_female"), (-135, None), (-135, "speech_female"))]
    console = Console(file=io.StringIO(), width=80)
    for heard in others:
        console.print(summary(match([true], [heard])))
    text = console.file.getvalue()
    assert "…" not in text and "found, misnamed" in text and "→ right −90°" in text and "11.2 s" in text
