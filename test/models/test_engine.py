"""Every engine computes what torch does with the network as it was trained, whatever the system."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from seld_overlap_ros.config import MicrophoneArray, SystemConfig, uniform_azimuths
from seld_overlap_ros.models import engine as module
from seld_overlap_ros.models.engine import DEFAULT_MODEL, ENGINES, Engine, EngineError, load_engine
from seld_overlap_ros.models.system import System, save_model
from seld_overlap_ros.simulation.rooms import scene_rng

SMALL = SystemConfig(("a", "b", "c"), width=0.07, array=MicrophoneArray.circular(3), azimuths=uniform_azimuths(6))
KINDS = {"one SSS": replace(SMALL, system="cascade"), "gate": SMALL, "mel": replace(SMALL, mel_bands=64),
         "steered": replace(SMALL, steered=True)}
EXACT, ROUNDED = 2e-6, 0.02  # 16 bits hold 2 to 3 digits


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory) -> tuple[str, System]:
    """A checkpoint with the batch norms of a network that has seen something, and its system as it comes back."""
    torch.manual_seed(0)
    system = System(KINDS[request.param])
    for module_ in system.modules():
        if isinstance(module_, torch.nn.BatchNorm2d):
            for values, low, high in ((module_.weight, 0.8, 1.5), (module_.bias, -0.3, 0.3),
                                      (module_.running_mean, -0.3, 0.3), (module_.running_var, 0.3, 0.7)):
                torch.nn.init.uniform_(values, low, high)
    path = tmp_path_factory.mktemp("engines") / "model.safetensors"
    save_model(path, system, {})
    return path, load_engine(path, "torch").system


def answers(engine: Engine, features: np.ndarray, gains: np.ndarray, log_mag: np.ndarray) -> list[np.ndarray]:
    """What every network says."""
    numbers = [None, *range(engine.config.n_sss)]
    return [engine.localize(features), engine.classify(log_mag),
            *(engine.separate(features, gains, number) for number in numbers)]


@pytest.mark.parametrize("n_asked", [0, 1, 3, 6])
@pytest.mark.parametrize(("name", "tolerance"), [("openvino", ROUNDED), ("openvino_f32", EXACT), ("torch", EXACT)])
def test_it_computes_what_the_system_does(trained, name, tolerance, n_asked):
    path, system = trained
    rng = scene_rng("engines", n_asked)
    features = rng.uniform(-1, 1, (5, 256, 256)).astype(np.float32)
    features[0] = np.abs(features[0])
    log_mag = rng.uniform(0, 1, (n_asked, 256, 256)).astype(np.float32)
    gains = np.eye(6, dtype=np.float32)[rng.permutation(6)[:n_asked]] * rng.uniform(0.3, 1, (n_asked, 1)).astype("f4")
    x, asked = torch.from_numpy(features), torch.from_numpy(gains)
    with torch.inference_mode():
        each = x.expand(n_asked, -1, -1, -1)
        expected = [system.localize(x[None])[0], system.ssc(torch.from_numpy(log_mag)).softmax(1),
                    system.separate(each, asked), *(sss(each, asked) for sss in system.sss)]
    for mine, wanted in zip(answers(load_engine(path, name), features, gains, log_mag), expected, strict=True):
        assert mine.shape == wanted.shape and mine.dtype == np.float32
        np.testing.assert_allclose(mine, wanted.numpy(), rtol=0, atol=tolerance)


def test_the_mel_bands_of_every_level_are_those_of_torch(trained):
    path, system = trained
    if not system.config.mel_bands:
        pytest.skip("this system sees none")
    levels = np.linspace(0, 1, 256, dtype=np.float32)[None, :, None].repeat(256, axis=2)  # 24 decades, bin by bin
    for log_mag in (levels, np.zeros_like(levels), np.ones_like(levels)):
        with torch.inference_mode():
            expected = system.ssc(torch.from_numpy(log_mag)).softmax(1).numpy()
        np.testing.assert_allclose(load_engine(path, "openvino_f32").classify(log_mag), expected, atol=EXACT)
        np.testing.assert_allclose(load_engine(path, "openvino").classify(log_mag), expected, atol=ROUNDED)


def test_torch_leaves_a_core_to_others_and_takes_no_more_threads_than_it_had(monkeypatch, trained):
    before, threads = torch.get_num_threads(), {}
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(4)))
    try:
        for had in (1, 4):
            torch.set_num_threads(had)
            load_engine(trained[0], "torch")
            threads[had] = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    assert threads == {1: 1, 4: 3}


def test_auto_is_the_fastest_that_is_installed(monkeypatch):
    assert module.choose("auto") == "openvino"
    monkeypatch.setattr(module, "find_spec", lambda name: name == "torch")
    assert module.choose("auto") == "torch"


@pytest.mark.parametrize(("name", "said"), [
    ("onnx", f"no engine 'onnx'; there is {', '.join(ENGINES)}"),
    ("auto", "no openvino for this Python, which the engine auto needs: pip install openvino"),
    ("torch", "no torch for this Python, which the engine torch needs: pip install torch"),
])
def test_an_engine_that_is_not_there_is_refused_with_what_would_do(monkeypatch, name, said):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=said):
        load_engine(DEFAULT_MODEL, name)


LEFT_TO_ANOTHER_THREAD = """
import os, signal, sys, threading
from seld_overlap_ros.models.engine import load_engine, warm_up
heard, engines = [], [load_engine(sys.argv[1], sys.argv[2])]
warm_up(engines[0], ["ssl"])
signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
thread = threading.Thread(target=engines.clear)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGUSR1)
print(len(heard))
"""


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "auto"])
def test_signals_reach_a_process_whose_engine_ended_in_another_thread(name):
    line = [sys.executable, "-X", "faulthandler", "-c", LEFT_TO_ANOTHER_THREAD, DEFAULT_MODEL, name]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
