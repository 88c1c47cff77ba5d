"""What a training leaves on disk is whole, and its folder may be moved."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint


class MovableCheckpoint(ModelCheckpoint):
    """Lightning's, of a folder that may have been moved or copied since.

    Lightning's own keeps absolute paths: it would forget there which pass was the best, and delete what lies where
    the folder was.
    """

    def load_state_dict(self, state: dict) -> None:
        """Lightning's hook: what a resumed run goes on from, with the paths of today's folder."""
        def here(path: str) -> str:
            return str(Path(self.dirpath) / Path(path).name) if path else path

        paths = {name: here(state[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")
                 if name in state}
        best = {here(path): score for path, score in state.get("best_k_models", {}).items()}
        super().load_state_dict({**state, **paths, "dirpath": self.dirpath, "best_k_models": best})


def write_whole(file: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    unfinished = file.with_name(file.name + ".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)
