"""The lifecycle of the nodes: brought up and down from outside, and what a model cannot be loaded for is answered."""

import threading
import weakref

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from lifecycle_msgs.msg import Transition  # noqa: E402
from node_stand import NODES  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from seld_overlap.msg import AudioWindow, DirectionActivity, SeparatedSpectra, SoundEventArray  # noqa: E402

from seld_overlap_ros.nodes import convert, sss_node  # noqa: E402
from seld_overlap_ros.nodes.window_parts import UNHEARD  # noqa: E402
from seld_overlap_ros.streaming.hop import SOON  # noqa: E402
from seld_overlap_ros.streaming.stream import Window  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.mark.parametrize("name", NODES)
def test_a_node_goes_through_its_life_twice_when_told_to(open_stand, model, name):
    own = {} if name == "gate_node" else {"model": str(model)}
    stand = open_stand(name, autostart="false", **own)
    assert stand.state() == "unconfigured"
    said = sorted(publisher.topic_name for publisher in stand.managed.publishers)
    for _ in range(2):
        assert stand.change(Transition.TRANSITION_CONFIGURE)
        assert not stand.topics()
        assert stand.change(Transition.TRANSITION_ACTIVATE)
        assert len(stand.topics()) >= 2
        assert stand.state() == "active"
        assert stand.change(Transition.TRANSITION_DEACTIVATE)
        assert not stand.topics()
        assert stand.change(Transition.TRANSITION_CLEANUP)
        assert sorted(publisher.topic_name for publisher in stand.managed.publishers) == said
        assert not {"_engine", "_hearing", "_analyse"} & vars(stand.managed).keys()
        assert stand.state() == "unconfigured"


@pytest.mark.parametrize("name", ["full_node", "ssl_node"])
def test_enable_stops_and_starts_a_graph(open_stand, model, name):
    stand = open_stand(name, model=str(model))
    for wanted, state in ((False, "inactive"), (False, "inactive"), (True, "active"), (True, "active")):
        answer = stand.enable(wanted)
        assert (answer.success, answer.message) == (True, "listening" if wanted else "not listening")
        assert stand.state() == state
        assert bool(stand.topics()) == wanted


def test_a_model_that_cannot_be_loaded_is_answered_and_another_one_may_follow(open_stand, tmp_path, model):
    path = tmp_path / "later.safetensors"
    stand = open_stand("full_node", autostart="false", model=str(path))
    answer = stand.enable(True)
    assert not answer.success
    assert "no model" in answer.message and "give a .safetensors file" in answer.message
    assert not stand.change(Transition.TRANSITION_CONFIGURE)
    stand.wait(lambda: "no model" in stand.log)
    assert stand.state() == "unconfigured"
    path.write_bytes(model.read_bytes())
    assert stand.enable(True).success
    assert stand.state() == "active"


def test_a_transition_that_fails_later_says_why(open_stand, tmp_path, model):
    path = tmp_path / "model.safetensors"
    path.write_bytes(model.read_bytes())
    stand = open_stand("ssc_node", model=str(path))
    assert stand.change(Transition.TRANSITION_DEACTIVATE) and stand.change(Transition.TRANSITION_CLEANUP)
    path.unlink()
    assert not stand.change(Transition.TRANSITION_CONFIGURE)
    stand.wait(lambda: "no model" in stand.log)


def test_a_shutdown_ends_the_node_and_frees_its_engine(open_stand, model):
    stand = open_stand("ssc_node", model=str(model))
    engine = weakref.ref(stand.managed._engine)
    assert stand.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    stand.wait(stand.managed.done.done)
    assert stand.managed.done.result() == 0
    assert engine() is None


@pytest.mark.parametrize("name", ["full_node", "ssl_node"])
def test_a_refused_start_leaves_nothing_behind(open_stand, model, name):
    stand = open_stand(name, autostart="false", model=str(model), channel_map="0,0", hop="auto")
    for _ in range(2):
        answer = stand.enable(True)
        assert not answer.success and "channel_map" in answer.message
        assert not stand.topics() and not workers() and not stand.managed.watched


@pytest.mark.parametrize(("name", "part"), [("full_node", "_listener"), ("sss_node", "_parts")])
def test_the_thread_ends_whatever_else_fails_at_the_end(open_stand, model, monkeypatch, name, part):
    stand = open_stand(name, model=str(model))
    assert len(workers()) == 1
    with monkeypatch.context() as broken:
        broken.setattr(getattr(stand.managed, part), "_node", None)
        with pytest.raises(AttributeError):
            getattr(stand.managed, part).close()
    assert not workers()


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "worker"]


def test_a_hop_that_is_found_does_not_undo_one_that_is_set_meanwhile(open_stand, model):
    stand = open_stand("full_node", model=str(model), hop="auto")
    listener = stand.managed._listener
    user = threading.Thread(target=lambda: stand.managed.set_parameters([Parameter("hop", value=1.024)]))

    def took(cost_s):
        user.start()
        user.join(1.0)  # as far as it gets
        return True

    listener._auto.took = took
    listener.took(0.1)
    user.join()
    assert listener._input.intake.stream.hop_samples == 16384


@pytest.mark.parametrize("name", ["full_node", "ssl_node", "sss_node"])
def test_nothing_of_an_engine_outlives_the_end_of_a_node(open_stand, model, name):
    stand = open_stand(name, model=str(model))
    engine = weakref.ref(stand.managed._hearing.engine if name == "full_node" else stand.managed._engine)
    stand.end()
    assert engine() is None


def test_an_sss_that_the_model_has_not_is_refused(capfd, cascade_model):
    code = sss_node.main(["--ros-args", "-p", f"model:={cascade_model}", "-p", "number:=1"])
    assert code == 1
    said = capfd.readouterr().err
    assert "has no second SSS: start the graph cascade" in said
    assert len(said.splitlines()) == 1


def test_the_hop_of_the_stages_fits_the_way_through_all_of_them(open_stand, model):
    stand = open_stand("ssl_node", model=str(model), hop="auto")
    out = stand.node.create_publisher(SoundEventArray, "events", 5)
    stand.wait(lambda: out.get_subscription_count() and "until it is known what a window takes" in stand.log)
    for k in range(SOON):
        stand.managed._in_flight.send(k)
        stand.managed._in_flight._sent[k] -= 10.0  # s that it has been under way: no hop is long enough
        out.publish(SoundEventArray(header=convert.to_header(k, "")))
        stand.wait(lambda k=k: k not in stand.managed._in_flight._sent)
    stand.wait(lambda: "hop: auto: a window every 3.072 s, as a window takes 10" in stand.log)


def test_a_gate_that_works_for_nobody_says_so(open_stand):
    stand = open_stand("gate_node")
    outs = [stand.node.create_publisher(SeparatedSpectra, f"spectra_{n}", 5) for n in (0, 1)]
    stand.wait(lambda: all(out.get_subscription_count() for out in outs))
    windows = stand.managed._parts._work
    for n in range(UNHEARD + 1):
        for out in outs:
            out.publish(SeparatedSpectra(header=convert.to_header(n * convert.SECOND, "head"), directions=[3],
                                         direction_scores=[0.5], n_bins=1, n_frames=1, log_mag=[0.5]))
        stand.wait(lambda n=n: windows.n_done > n)
    stand.wait(lambda: "nobody takes /spectra: is ssc_node started?" in stand.log)


def test_a_localization_that_nothing_comes_of_is_said_unless_it_is_all_that_is_wanted(open_stand, model):
    stand = open_stand("ssl_node", model=str(model))

    def hear():
        config = stand.managed._engine.config
        silence = np.zeros((config.array.n_microphones, config.front_end.window_samples), np.float32)
        for n in range(UNHEARD + 1):
            stand.managed._hear(Window(n * convert.SECOND, silence), "head")

    taken = []
    stand.node.create_subscription(DirectionActivity, "activity", taken.append, 5)
    stand.wait(stand.managed._only_localizes)
    hear()
    stand.node.create_subscription(AudioWindow, "window", taken.append, 5)
    stand.wait(lambda: not stand.managed._only_localizes())
    assert not stand.managed.notices.counts
    hear()
    stand.wait(lambda: "nobody publishes /events, so nothing comes of what is localized: is ssc_node started?"
               in stand.log)


@pytest.mark.parametrize(("name", "has_it"), [("full_node", True), ("gate_node", False)])
def test_only_a_node_with_the_service_enable_names_it(open_stand, name, has_it):
    sentence = open_stand(name, autostart="false").managed._state().sentence
    assert ("call the service enable" in sentence) == has_it
    assert "bring it up by its lifecycle" in sentence


BAD = {
    "sss_node": (
        ("window", AudioWindow(sample_rate=8000), "it is at 8000 Hz and the model needs 16000 Hz"),
        ("window", AudioWindow(sample_rate=16000, channels=0), "no whole number for each of 0 microphones"),
        ("activity", DirectionActivity(scores=[0.5] * 7), "it has 7 directions and the model 8"),
        ("activity", DirectionActivity(scores=[0.5] * 8, directions=[8]), "are no choice of 8"),
    ),
    "gate_node": (
        ("spectra_0", SeparatedSpectra(directions=[1], direction_scores=[0.5], n_bins=2**31, n_frames=2**31),
         "0 values and 1 scores are no spectra of shape"),
        ("spectra_1", SeparatedSpectra(directions=[1, 1], direction_scores=[1.0, 1.0]), "are no choice of"),
    ),
    "ssc_node": (
        ("spectra", SeparatedSpectra(directions=[1], direction_scores=[0.5], n_bins=1, n_frames=1, log_mag=[0.5]),
         "they are of shape (1, 1) (F, T) and the model needs (256, 256)"),
        ("spectra", SeparatedSpectra(directions=[1], direction_scores=[0.5], n_bins=1, n_frames=1,
                                     log_mag=[float("nan")]), "its magnitudes do not all lie in [0, 1]"),
    ),
}


@pytest.mark.parametrize(("name", "k"), [(name, k) for name in BAD for k in range(len(BAD[name]))])
def test_a_bad_message_between_stages_costs_a_sentence(open_stand, model, name, k):
    topic, message, sentence = BAD[name][k]
    own = {} if name == "gate_node" else {"model": str(model)}
    stand = open_stand(name, **own)
    out = stand.node.create_publisher(type(message), topic, 5)
    stand.wait(out.get_subscription_count)
    out.publish(message)
    stand.wait(lambda: f"a message of {topic} is left out: " in stand.log and sentence in stand.log)
    assert not stand.managed.done.done()


def test_separations_of_other_directions_are_not_joined(open_stand):
    stand = open_stand("gate_node")
    heard, header = [], convert.to_header(10**18, "head")
    stand.node.create_subscription(SeparatedSpectra, "spectra", heard.append, 5)
    outs = [stand.node.create_publisher(SeparatedSpectra, f"spectra_{n}", 5) for n in (0, 1)]
    stand.wait(lambda: all(out.get_subscription_count() for out in outs) and stand.node.count_publishers("spectra"))

    def publish(*directions):
        for out, direction in zip(outs, directions, strict=True):
            out.publish(SeparatedSpectra(header=header, directions=[direction], direction_scores=[0.5], n_bins=1,
                                         n_frames=1, log_mag=[0.5]))

    publish(1, 2)
    stand.wait(lambda: "do not belong together: let both sss_nodes load the same model" in stand.log)
    publish(3, 3)
    stand.wait(lambda: heard)
    assert list(heard[0].directions) == [3]
