"""The measurements, as numbers for `bench.json`: medians, and in `spread` their quartiles and how often."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import theilslopes

from seld_overlap_ros.config import MicrophoneArray, SystemConfig
from seld_overlap_ros.models.checkpoint import read_checkpoint
from seld_overlap_ros.models.engine import DEFAULT_MODEL
from seld_overlap_ros.speed.contestants import SHIPPED, Default, PyTorch
from seld_overlap_ros.speed.floor import stage_works
from seld_overlap_ros.speed.steady import DEFAULT_HOP_S, N_DIRECTIONS, save_steady
from seld_overlap_ros.speed.timing import Contestant, Neighbour, Times, in_turn, quartiles

NETWORKS = ("ssl", "sss", "ssc")
STAGES = ("features", "ssl", "sss", "gate", "ssc", "resynthesis")
LABELS = tuple(f"class {c}" for c in range(75))  # of random weights
HOP_S, SOURCES = 0.256, 3  # at which a graph is to hold: a quarter of a second in whole frames
BLOCKS = 20  # of a long run
CACHED = 2**20  # numbers, 4 MB: as the largest plane of a P/4 network


@dataclass(frozen=True)
class Effort:
    """How often and how much of each."""

    model: str | float = DEFAULT_MODEL  # name of a shipped one, or width of one with random weights
    rounds: int = 30
    few: int = 10  # rounds of what takes long
    sources: tuple[int, ...] = tuple(range(N_DIRECTIONS + 1))
    microphones: tuple[int, ...] = (4, 8, 16)
    widths: tuple[float, ...] = (1 / 4, 1 / 2, 1.0)
    hops_s: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0)
    audio_s: float = 30.0  # that is heard at each hop
    long_s: float = 600.0  # of audio, to see whether a hop costs more with time
    runs: int = 3  # of that
    matrix: int = 2048  # rows and columns
    array: int = 2**24  # numbers that are copied, 64 MB
    batch: int = 16  # mixtures of a training step
    places: int = 3  # in each direction of a simulated room


QUICK = Effort(1 / 32, rounds=2, few=1, sources=(1, 3), microphones=(4, 8), widths=(1 / 32,), hops_s=(0.5,),
               audio_s=6.0, long_s=6.0, runs=1, matrix=256, array=2**18, batch=2, places=1)


@dataclass(frozen=True)
class Bench:
    """Both contestants, and how much is asked of them."""

    effort: Effort
    config: SystemConfig  # of the shipped model
    default: Contestant
    eager: Contestant

    def in_turn(self, asked: Mapping[str, tuple], rounds: int) -> Times:
        """Times of `NAME default` and `NAME eager` for each name -> method and its arguments."""
        return in_turn({f"{name} {who}": partial(contestant.time, *question) for name, question in asked.items()
                        for who, contestant in (("default", self.default), ("eager", self.eager))}, rounds)


@contextmanager
def open_bench(effort: Effort, folder: Path) -> Iterator[Bench]:
    """Write the models to a folder, and start the processes."""
    models = make_models(effort, folder)
    with Contestant(Default, models) as default, Contestant(PyTorch, models) as eager:
        yield Bench(effort, read_checkpoint(models[SHIPPED], ()).config, default, eager)


def make_models(effort: Effort, folder: Path) -> dict[str, Path]:
    """Steady systems by name: the shipped one, and such of other widths and arrays with random weights."""
    random = SystemConfig(LABELS, width=effort.widths[0])
    shipped = effort.model if isinstance(effort.model, str) else replace(random, width=effort.model)
    wanted = {SHIPPED: shipped, **{f"width {width:g}": replace(random, width=width) for width in effort.widths},
              **{f"{m} microphones": replace(random, array=MicrophoneArray.circular(m)) for m in effort.microphones}}
    return {name: save_steady(folder / f"{name}.safetensors", model) for name, model in wanted.items()}


def flat(numbers: Mapping[str, dict]) -> dict:
    """Medians by name, and what else `quartiles` knows of each in `spread`."""
    return {**{name: each["median"] for name, each in numbers.items()},
            "spread": {name: {key: each[key] for key in ("quartiles", "repeats")} for name, each in numbers.items()}}


def merged(one: dict, other: dict) -> dict:
    """Two of `flat` as one."""
    return {**one, **other, "spread": one["spread"] | other["spread"]}


def both(times: Times, name: str) -> dict:
    """Of a work in milliseconds, by both, and how many times faster the default is, round by round."""
    default, eager = times[f"{name} default"], times[f"{name} eager"]
    return {"default_ms": quartiles(1e3 * default), "eager_ms": quartiles(1e3 * eager),
            "speedup_vs_eager": quartiles(eager / default)}


def window(bench: Bench) -> dict:
    """One window, one query: eager PyTorch and the shipped system, each stage of both, and the floor, in one run."""
    effort, eager = bench.effort, bench.eager
    asked = {"window": ("window", SHIPPED, 1), **{stage: ("stage", stage) for stage in STAGES}}
    works = {f"{name} {who}": partial(getattr(bench, who).time, *question) for name, question in asked.items()
             for who in ("default", "eager")}
    works["following"] = partial(bench.default.time, "following")
    works |= {f"first {who}": partial(getattr(bench, who).first, "window", SHIPPED, 1) for who in ("default", "eager")}
    engine, precision = bench.default.ask("engine")
    for product in ("f32", "bf16" if precision == "f32" else precision):
        works[f"product {product}"] = partial(eager.time, "product", product, effort.matrix)
    works |= {"copy": partial(eager.time, "copy", effort.array), "copy in cache": partial(eager.time, "copy", CACHED)}
    times = in_turn(works, effort.rounds)
    floor = floors(bench.config, precision, times, effort)
    stages = {}
    for stage in STAGES:
        own = both(times, stage)
        if stage in floor["stages"]:
            own["over_floor"] = quartiles(1e3 * times[f"{stage} default"] / floor["stages"][stage]["ms"])
        stages[stage] = flat(own)
    whole = {**both(times, "window"), "over_floor": quartiles(1e3 * times["window default"] / floor["window_ms"])}
    whole |= {f"first_{name}": value for name, value in both(times, "first").items()}
    following = {"default_ms": quartiles(1e3 * times["following"]),
                 "speedup_vs_eager": quartiles(times["window eager"] / times["following"]),
                 "over_floor": quartiles(1e3 * times["following"] / floor["following_ms"])}
    return {"engine": {"name": engine, "precision": precision}, "window": flat(whole), "following": flat(following),
            "stages": stages, "floor": floor}


def floors(config: SystemConfig, precision: str, times: Times, effort: Effort) -> dict:
    """The best that this machine was measured to do, and what each stage would cost at that."""
    macs = {name.removeprefix("product "): effort.matrix**3 / own.min() for name, own in times.items()
            if name.startswith("product ")}
    copies = {"copy": effort.array, "copy in cache": CACHED}
    moved = {name: 8 * n / times[name].min() for name, n in copies.items()}  # read and written, 4 bytes each
    stages = {}
    for stage, work in stage_works(config, precision).items():
        arithmetic_s = work.macs / macs[precision if stage in NETWORKS else "f32"]
        bytes_s = work.bytes / max(moved.values())
        stages[stage] = {"ms": round(1e3 * (arithmetic_s + bytes_s), 4), "arithmetic_ms": round(1e3 * arithmetic_s, 4),
                         "bytes_ms": round(1e3 * bytes_s, 4), "mmac": round(work.macs / 1e6, 2),
                         "mb": round(work.bytes / 1e6, 2)}
    whole = {f"{name}_ms": round(sum(stage[f"{key}ms"] for stage in stages.values()), 4)
             for name, key in (("window", ""), ("arithmetic", "arithmetic_"), ("bytes", "bytes_"))}
    front_end = config.front_end
    known = 1 - front_end.whole_hops(DEFAULT_HOP_S) / front_end.hop / front_end.n_frames  # share of the frames
    return {"precision": precision, **whole, "stages": stages,
            "following_ms": round(whole["window_ms"] - known * stages["features"]["ms"], 4),
            "gmac_a_second": {name: round(each / 1e9, 1) for name, each in macs.items()},
            "gb_a_second": {name: round(each / 1e9, 1) for name, each in moved.items()}}


def busy_core(bench: Bench) -> dict:
    """One window beside a process that keeps a core busy, and without it, in turn."""
    works = {}
    with Neighbour() as neighbour:
        for who in ("default", "eager"):
            alone = partial(getattr(bench, who).time, "window", SHIPPED, 1)
            works |= {who: alone, f"{who} busy": partial(neighbour.beside, alone)}
        times = in_turn(works, bench.effort.few)
    return flat({"busy_core_factor": quartiles(times["default busy"] / times["default"]),
                 "eager_busy_core_factor": quartiles(times["eager busy"] / times["eager"])})


def queries(bench: Bench) -> dict:
    """One window, and 0 to 8 queries of it."""
    counts = bench.effort.sources
    times = bench.in_turn({str(k): ("window", SHIPPED, k) for k in counts}, bench.effort.rounds)
    return {**flat({"three_over_one": quartiles(times["3 default"] / times["1 default"])}),
            **growth("sources", counts, times)}


def widths(bench: Bench) -> dict:
    """One window, one query, by networks of several widths."""
    own = bench.effort.widths
    times = bench.in_turn({f"{width:g}": ("window", f"width {width:g}", 1) for width in own}, bench.effort.few)
    return {"costs": [{"width": width, **flat(both(times, f"{width:g}"))} for width in own]}


def microphones(bench: Bench) -> dict:
    """One window, one query, of arrays of several sizes."""
    own = bench.effort.microphones
    times = bench.in_turn({str(m): ("window", f"{m} microphones", 1) for m in own}, bench.effort.few)
    return growth("microphones", own, times)


def growth(what: str, counts: Sequence[int], times: Times) -> dict:
    """Costs by count, their slope, and the power of the count with which they grow at the end: 1 is in proportion."""
    ms = {n: 1e3 * float(np.median(times[f"{n} default"])) for n in counts}
    some = [n for n in counts if n]
    most, half = some[-1], max(n for n in some if n <= some[-1] / 2)
    return {"costs": [{what: n, **flat(both(times, str(n)))} for n in counts], "from": half, "to": most,
            "ms_each": round(float(np.polyfit(some, [ms[n] for n in some], 1)[0]), 3),
            "power": round(math.log(ms[most] / ms[half]) / math.log(most / half), 3)}


def hops(bench: Bench) -> dict:
    """Some sounds heard on and on at several hops: cost of a hop, and real-time factor."""
    effort, front_end, costs = bench.effort, bench.config.front_end, []
    for hop_s in (front_end.whole_hops(asked) / front_end.sample_rate for asked in effort.hops_s):
        own = bench.default.ask("stream", SHIPPED, SOURCES, hop_s, effort.audio_s)
        costs.append({"hop_s": hop_s, **flat({"ms": quartiles(1e3 * own), "rtf": quartiles(own / hop_s)})})
    return {"sources": SOURCES, "costs": costs}


def running_time(bench: Bench) -> dict:
    """Some sounds heard for long: whether a hop costs more with time.

    Of each hop the median of several runs, as a machine may be slower for some seconds of one.
    """
    runs = [bench.default.ask("stream", SHIPPED, SOURCES, HOP_S, bench.effort.long_s) for _ in range(bench.effort.runs)]
    return {"hop_s": HOP_S, "sources": SOURCES, "runs": len(runs), **drift(1e3 * np.median(runs, axis=0), HOP_S)}


def drift(costs: np.ndarray, hop_s: float) -> dict:
    """Costs of hops in a row (n,) [ms] -> by how much they grow: slope of Theil and Sen, with 95 %.

    It is that of medians of blocks: hops in a row are slow together, and the interval takes what it is given for
    independent.
    """
    minutes = hop_s * np.arange(len(costs)) / 60
    blocks, middles = (np.array([np.median(block) for block in np.array_split(of, min(BLOCKS, len(costs)))])
                       for of in (costs, minutes))
    slope, _, low, high = theilslopes(blocks, middles)
    return {"minutes": round(float(minutes[-1]), 1), "windows": len(costs), "ms_a_minute": round(float(slope), 4),
            "ms_a_minute_95": [round(float(low), 4), round(float(high), 4)],
            "grown_share": round(float(slope * minutes[-1] / np.median(costs)), 4),
            "ms": [round(float(block), 3) for block in blocks]}


def opponents(bench: Bench) -> dict:
    """A second of audio, window after window: what each costs and says."""
    effort, ours = bench.effort, "where, what, and each sound alone"
    works = {(f"{title}, {k} sound{'s' if k > 1 else ''}", i, ours): partial(contestant.time, "window", SHIPPED, k)
             for i, (title, contestant) in enumerate((("as shipped", bench.default), ("PyTorch eager", bench.eager)))
             for k in (1, 3)}
    works |= {("features of the CRNN", 2, ""): partial(bench.eager.time, "crnn_features"),
              ("CRNN, PyTorch eager", 2, "where and what"): partial(bench.eager.time, "crnn")}
    if bench.default.ask("has_openvino"):
        works["CRNN, OpenVINO", 2, "where and what"] = partial(bench.default.time, "crnn")
    n_sounds = np.mean([bench.default.ask("classical") for _ in range(effort.few)])
    title = f"classical: MUSIC, beams, our SSC; {n_sounds:.1f} sounds"
    works[title, 3, ours] = partial(bench.default.time, "classical")
    times = in_turn(works, effort.few)
    return {"costs": [{"name": name, "kind": kind, "says": says,
                       **flat({"ms_a_second": quartiles(1e3 * own / bench.config.front_end.window_s)})}
                      for (name, kind, says), own in times.items()]}
