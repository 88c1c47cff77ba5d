"""For `pip install .` of the library without ROS, with `.[train]` on a training machine; colcon reads CMakeLists.txt.

The commands stand in setup.cfg, which both read.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "seld_overlap_ros" / "__init__.py").read_text())[1]
# Names only: a training machine keeps the torch and numpy it has. The groups after training are for set-up.
ASKED = (ROOT / "requirements" / "python.in").read_text().split("# Tests and lint.")[0].split("# Training")
LIBRARY, TRAINING = ([line.split("==")[0] for line in group.splitlines()[1:] if line and not line.startswith("#")]
                     for group in ASKED)
DATA = ["weights/*", "scenes/*", "scenes/demo.stems/*", "arrays/*", "data/manifests/*", "training/recipes/*",
        "**/*.html", "**/*.css", "*.xml"]
MESSAGES = {"seld_overlap": ROOT / "msg", "audio_common_msgs": ROOT / "interfaces" / "audio_common_msgs" / "msg"}


class BuildPy(build_py):
    """Puts the message definitions, which lie where ROS wants them, into the package too, for bags without ROS."""

    def run(self) -> None:
        """Build."""
        super().run()
        for package, folder in MESSAGES.items():
            into = Path(self.build_lib) / "seld_overlap_ros" / "bags" / "msg" / package
            self.mkpath(str(into))
            for path in folder.glob("*.msg"):
                self.copy_file(str(path), str(into))


setup(
    name="seld-overlap",
    version=VERSION,
    description="Where each of several overlapping sounds is, what it is, and what it sounds like alone.",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["seld_overlap_ros", "seld_overlap_ros.*"]),
    package_data={"seld_overlap_ros": DATA},
    cmdclass={"build_py": BuildPy},
    install_requires=LIBRARY,
    extras_require={"train": TRAINING},
)
