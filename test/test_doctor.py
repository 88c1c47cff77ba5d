"""The doctor's answer for what it has seen: one sentence, the likeliest cause first, with the way out."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from seld_overlap_ros.doctor import MANAGED, Endpoint, Mismatch, Snapshot, diagnose, is_managed, table
from seld_overlap_ros.streaming.health import ERROR, OK, WARN, Status

STAMPED, FRAME = "audio_common_msgs/msg/AudioDataStamped", "audio_utils_msgs/msg/AudioFrame"
STATE = Status("state", OK, "active", {"state": "active", "model loaded": "overlap"})
AUDIO = Status("audio", OK, "8 microphones at 16000 Hz on /audio_stamped", {
    "topic": "/audio_stamped", "messages": "90", "messages refused": "0", "audio [s]": "9.0", "levels [dB]": "-40 -41"})
NO_AUDIO = Status("audio", ERROR, "no audio on /audio_stamped yet: is its source started, and there?", {
    **AUDIO.values, "messages": "0", "audio [s]": "0.0", "levels [dB]": "-120 -120"})
WINDOWS = Status("windows", OK, "9 windows done, none left out lately", {"real-time factor": "0.350"})
SOURCE = Endpoint("/mic", "/audio_stamped", STAMPED)
WELL = Snapshot(
    "0", "SUBNET", frozenset({"/full_node", "/mic"}), {"/full_node": "active"}, (SOURCE,), (),
    statuses={"/full_node": {"state": STATE, "audio": AUDIO, "windows": WINDOWS}},
    audio_types={STAMPED: True, FRAME: False}, n_windows=9, n_sounds=4, seconds=5.0)


def seen(**changes):
    """WELL with changes; a Status among them takes the place of full_node's of that subject."""
    told = {name: changes.pop(name) for name in ("state", "audio", "windows", "hop") if name in changes}
    return replace(WELL, statuses={"/full_node": {**WELL.statuses["/full_node"], **told}}, **changes)


def refused(sentence):
    counted = {**AUDIO.values, "messages": "0", "messages refused": "9"}
    return Status("audio", ERROR, f"audio refused: {sentence}", counted)


CASES = {
    "nothing at all": (Snapshot("7", "LOCALHOST"),
                       "no ROS node at all is seen in ROS domain 7 (discovery range LOCALHOST): start a graph"),
    "none of ours": (Snapshot("0", "SUBNET", frozenset({"/mic", "/rviz"})),
                     "none of the 2 nodes in ROS domain 0 (discovery range SUBNET) is one that hears: start a graph"),
    "no answer": (replace(WELL, states={"/full_node": ""}, statuses={}), "/full_node is there and does not answer"),
    "not active": (seen(states={"/full_node": "inactive"}, state=Status("state", WARN, "inactive", {})),
                   '/full_node is inactive: bring it up with `ros2 service call /enable std_srvs/srv/SetBool "{data: '),
    "a stage not configured": (replace(WELL, states={"/a/gate_node": "unconfigured"}, statuses={}),
                               "`ros2 lifecycle set /a/gate_node configure` and `ros2 lifecycle set /a/gate_node act"),
    "model not loaded": (seen(states={"/full_node": "unconfigured"}, state=Status(
        "state", ERROR, "unconfigured, as it could not be started: no model 'x'", {})),
        "/full_node is unconfigured, as it could not be started: no model 'x'"),
    "a stage is missing": (seen(states={"/ssc_node": "active"}, subscribers=(
        Endpoint("/ssc_node", "/spectra", "seld_overlap/msg/SeparatedSpectra"),)),
        "/ssc_node waits for /spectra, which nobody publishes: start gate_node"),
    "QoS of the output": (seen(mismatches=(Mismatch("/events", "/full_node", "/robot", "volatile publisher"),)),
                          "/full_node and /robot do not come together on /events, as their QoS does not match (vol"),
    "no source": (seen(audio=NO_AUDIO, publishers=()), "nobody publishes audio: start its source"),
    "a silent source": (seen(audio=NO_AUDIO, subscribers=(replace(SOURCE, node="/full_node"),)),
                        "/mic is there to publish the audio on /audio_stamped, and sends none"),
    "source of another type than is listened to": (
        seen(audio=NO_AUDIO, subscribers=(Endpoint("/full_node", "/audio_stamped", FRAME),)),
        "the audio is on /audio_stamped (audio_common_msgs/msg/AudioDataStamped): give the graph"),
    "source elsewhere": (seen(audio=NO_AUDIO, publishers=(Endpoint("/mic", "/mic/audio_stamped", STAMPED),)),
                         "the audio is on /mic/audio_stamped (audio_common_msgs/msg/AudioDataStamped): give the graph"),
    "type not installed": (seen(audio=NO_AUDIO, publishers=(Endpoint("/mic", "/audio_out", FRAME),)),
                           "whose messages are not installed here: install audio_utils_msgs"),
    "type that is no audio": (seen(audio=NO_AUDIO, publishers=(replace(SOURCE, type_name="std_msgs/msg/String"),)),
                              "/mic publishes std_msgs/msg/String on /audio_stamped, which cannot be read as audio"),
    "mp3": (seen(audio=refused("mp3: start audio_capture with format:=wave")), "start audio_capture with format:=wave"),
    "dead microphone": (seen(audio=replace(AUDIO, level=ERROR, sentence="microphone 2 is dead: check cable")),
                        "/full_node: microphone 2 is dead"),
    "overload before gaps": (seen(audio=replace(AUDIO, level=WARN, sentence="audio was missing"), windows=replace(
        WINDOWS, level=WARN, sentence="windows are left out: set a longer hop")), "set a longer hop"),
    "gaps": (seen(audio=replace(AUDIO, level=WARN, sentence="audio was missing")), "/full_node: audio was missing"),
    "no hop that would do": (seen(hop=Status("hop", WARN, "too long", {})), "/full_node: too long"),
    "no events": (seen(n_windows=0, n_sounds=0), "no message came on `events` within 5 s, and no node says why"),
}
FINE = {
    "first window": (seen(n_windows=0, n_sounds=0, audio=replace(AUDIO, values={**AUDIO.values, "audio [s]": "2.0"})),
                     "all is well so far: after 2.0 s of audio the first window is not full yet"),
    "silence": (seen(n_sounds=0, audio=replace(AUDIO, values={**AUDIO.values, "levels [dB]": "-90 -88"})),
                "all works, and it is silent: the loudest microphone is at -88 dB"),
    "threshold": (seen(n_sounds=0), "lower direction_threshold, such as `ros2 param set /full_node direction_thre"),
    "all well": (WELL, "all is well: 9 windows with 4 sounds came within 5 s"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_to_be_mended_is_said(name):
    snapshot, sentence = CASES[name]
    verdict = diagnose(snapshot)
    assert sentence in verdict.sentence
    assert not verdict.well


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine_is_said(name):
    snapshot, sentence = FINE[name]
    verdict = diagnose(snapshot)
    assert sentence in verdict.sentence
    assert verdict.well


def test_an_audio_of_our_own_is_no_source():
    """full_node gives the separated directions as audio for players."""
    own = Endpoint("/full_node", "/separated_audio/direction_0/audio_stamped", STAMPED)
    assert "nobody publishes audio" in diagnose(seen(audio=NO_AUDIO, publishers=(own,))).sentence


def test_every_node_with_a_lifecycle_is_looked_at():
    assert MANAGED == {"full_node", "ssl_node", "sss_node", "sss_node_0", "sss_node_1", "gate_node", "ssc_node"}
    assert is_managed("/robot/ssc_node")
    assert not is_managed("/full_node/mic")


@pytest.mark.parametrize("name", [*CASES, *FINE])
def test_the_table_can_be_shown_of_whatever_was_seen(name):
    console = Console(width=200, file=io.StringIO())
    console.print(table({**CASES, **FINE}[name][0]))
    assert "ROS_DOMAIN_ID" in console.file.getvalue()
