"""How surely exchanged microphones are found: `streaming/channel_order.py` on stored mixtures, right and exchanged.

    python tools/exchanged.py [--mixtures data/mixtures/val] [--n 500]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from seld_overlap_ros.config import SystemConfig
from seld_overlap_ros.simulation.store import MixtureStore
from seld_overlap_ros.streaming.channel_order import BETTER, LOOKS, ChannelOrder


def main(
    mixtures: Annotated[Path, typer.Option(help="Stored mixtures.")] = Path("data/mixtures/val"),
    n: Annotated[int, typer.Option(help="How many of them.")] = 500,
) -> None:
    """Print what an exchange adds in single looks, and the verdicts after LOOKS of them."""
    store = MixtureStore.load(mixtures)
    config = SystemConfig(labels=store.labels, array=store.array, azimuths=store.azimuths)
    rng, verdicts, gains = np.random.default_rng(0), {"right": [], "exchanged": []}, {"right": [], "exchanged": []}
    for index in track(range(min(n, len(store)) // LOOKS), "windows"):
        pair = tuple(sorted(rng.choice(store.array.n_microphones, 2, replace=False).tolist()))
        order = np.arange(store.array.n_microphones)
        order[list(pair)] = pair[::-1]
        ears = {"right": ChannelOrder(config, lambda: np.inf), "exchanged": ChannelOrder(config, lambda: np.inf)}
        for k in range(LOOKS):
            samples = store[index * LOOKS + k].mixture
            for name, heard in (("right", samples), ("exchanged", samples[order])):
                single = ChannelOrder(config)
                single.hear(heard)
                true = single.pairs.index(pair)
                gains[name].append(single.gains[true] if name == "exchanged" else single.gains.max())
                ears[name].hear(heard)
        for name, ear in ears.items():
            verdicts[name].append(ear.exchanged)
        verdicts["exchanged"][-1] = verdicts["exchanged"][-1] == pair
    print(f"one look: the right exchange adds {np.median(gains['exchanged']):.3f} in the median; of right channels the "
          f"best exchange adds {max(gains['right']):.3f} at most (bound: {BETTER})")
    print(f"after {LOOKS} looks: {np.mean(verdicts['exchanged']):.1%} of the exchanged found, "
          f"{sum(v is not None for v in verdicts['right'])} of {len(verdicts['right'])} false alarms")


if __name__ == "__main__":
    typer.run(main)
