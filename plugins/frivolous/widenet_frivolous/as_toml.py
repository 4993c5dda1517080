"""``python -m widenet_frivolous.as_toml 2500`` writes the options of an experiment by its number, for ``--config``."""

from __future__ import annotations

import json
import sys
from typing import Any

from widenet_frivolous.experiments import experiments, note
from widenet_frivolous.recipes import recipe


def toml(number: int) -> str:
    """The options of an experiment as TOML, under what there is to know of it.

    Raises:
        KeyError: no experiment of that number trains a network.
    """
    made = experiments()[number]
    lines = [f"{name} = {_value(value)}" for name, value in recipe(made).items()]
    return "\n".join([f"# {note(number, made.seed)}", *lines, ""])


def _value(value: Any) -> str:
    """Numbers, texts, booleans and lists of them are written in TOML as in JSON."""
    return json.dumps(value)


def main(words: list[str]) -> str | None:
    """Write the experiment that the command line names; what is wrong with it, or None."""
    if len(words) != 1 or not words[0].isdigit() or int(words[0]) not in experiments():
        return f"give the number of an experiment, 2 to 240 or 247 to 3246, not {' '.join(words) or 'nothing'}"
    sys.stdout.write(toml(int(words[0])))
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
