"""Debian packages by name: fetch them with apt-get and take files out of them, installing nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Collection
from pathlib import Path


class PackageError(ValueError):
    """A package that cannot be had or read; the message is one sentence with the way out."""


def find_package(name: str, folder: Path) -> Path | None:
    """Newest `.deb` of a package in a folder, or None."""
    found = sorted(folder.glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def download_package(name: str, folder: Path) -> Path:
    """Fetch a package into a folder with `apt-get download`, whole or not at all; raises PackageError."""
    _need("apt-get")
    unfinished = folder / "unfinished"  # apt-get writes under the name that a whole one has
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    command = ["apt-get", "download", "--quiet", name]
    if os.geteuid() == 0:
        # root's apt would drop to the user _apt, which cannot write into a private folder
        command[1:1] = ["-o", "APT::Sandbox::User=root"]
    done = subprocess.run(command, cwd=unfinished, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    deb = find_package(name, unfinished)
    if done.returncode or deb is None:
        raise PackageError(_why_not(name, done.stderr))
    whole = deb.replace(folder / deb.name)
    unfinished.rmdir()
    return whole


def extract_files(deb: Path, wanted: Collection[str], folder: Path) -> dict[str, Path]:
    """Write the wanted files of a package (paths without a leading slash) under a folder; absent ones are left out.

    Raises PackageError when the package cannot be read.
    """
    _need("dpkg-deb")
    found: dict[str, Path] = {}
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as unpacker:
        try:
            with tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive:
                for entry in archive:
                    _take(archive, entry, wanted, folder, found)
                    if len(found) == len(set(wanted)):
                        break
        except (tarfile.TarError, EOFError) as error:
            raise PackageError(f"{deb.name} is damaged ({error}); delete it and run the command again.") from error
        finally:
            unpacker.kill()
    return found


def _take(
    archive: tarfile.TarFile, entry: tarfile.TarInfo, wanted: Collection[str], folder: Path, found: dict[str, Path]
) -> None:
    name = entry.name.removeprefix("./")
    if name not in wanted or not entry.isfile():
        return
    content = archive.extractfile(entry)
    if content is None:
        return
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        shutil.copyfileobj(content, out)
    found[name] = target


def _need(tool: str) -> None:
    if shutil.which(tool) is None:
        raise PackageError(
            f"{tool} is not on this machine; use Debian or Ubuntu, or copy an already built sounds folder here."
        )


def _why_not(name: str, stderr: str) -> str:
    if "Unable to locate package" in stderr or "No packages found" in stderr or "Can't select" in stderr:
        return f"package {name} is unknown to apt here; run `apt-get update`, or get its .deb from Debian 12 by hand."
    last = stderr.strip().splitlines()[-1:] or ["no reason given"]
    return f"package {name} could not be downloaded ({last[0].strip()}); check the network and run `apt-get update`."
