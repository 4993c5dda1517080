"""The built-in data sets loaded, and the line with which loading fails."""

from pathlib import Path

import pytest

from widenet.builtin import datasets as builtin
from widenet.errors import WnError

SETS = {dataset.name: dataset for dataset in builtin.datasets()}


def load(name, root=Path("unused"), **options):
    dataset = SETS[name]
    return dataset.function(root, dataset.config(**options))


def fails(kind, name, root=Path("unused"), **options):
    """Return the one line with which loading fails."""
    with pytest.raises(WnError) as caught:
        load(name, root, **options)
    assert type(caught.value) is kind
    line = str(caught.value)
    assert line
    assert "\n" not in line
    return line


def sizes(data):
    return [len(split) for split in (data.train, data.test, data.val) if split is not None]
