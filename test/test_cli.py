"""What holds for every command of `seld-overlap`."""

from collections.abc import Iterator

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from seld_overlap_ros.cli import app


def commands(command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """Every command below one, under its whole name."""
    if not isinstance(command, TyperGroup):
        yield " ".join(path), command
        return
    for name, below in command.commands.items():
        yield from commands(below, (*path, name))


ALL = dict(commands(get_command(app)))


def test_there_is_something_to_check():
    assert {"demo", "data mix", "bag make"} <= ALL.keys()


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_option_says_what_it_is(name: str):
    assert ALL[name].help
    assert not [option.name for option in ALL[name].params if not option.help]
