"""Conditions on runs (``--where arch.width>=0.5``) and their order (``--sort -test_accuracy``)."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from widenet.compare import NAMES, PARENT, settings
from widenet.errors import UsageError
from widenet.options import TRUTH, nearest, options, pair

if TYPE_CHECKING:
    from widenet.plugins import Registry
    from widenet.runs import Run

Listed = tuple[Any, Mapping[str, Any]]
"""A run and its :func:`values`."""
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
EQUALITY = ("=", "==", "!=")
FORM = re.compile(rf"\s*([^!<>=\s]+)\s*({'|'.join(OPERATORS)})\s*(.*?)\s*")
OWN = ("run", "status", "seed", "started", "seconds", "note")
"""What a run has besides its settings and its result."""
RESULTS = ("test_accuracy", "test_loss")
"""What every method that is evaluated has in its result."""


@attrs.frozen
class Condition:
    """One ``--where``."""

    text: str
    key: str
    sign: str
    value: str

    @property
    def equality(self) -> bool:
        """Asks whether a value is this one, or is not."""
        return self.sign in EQUALITY

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds for a run's :func:`values`; one that lacks the value is only unequal to all.

        Raises:
            UsageError: the value is a number, and it is compared with something else.
        """
        found = values.get(self.key)
        if not self.equality and (found is None or isinstance(found, (list, bool))):
            return False
        if not isinstance(found, (int, float)) or isinstance(found, bool):
            return bool(OPERATORS[self.sign](*self._words(found)))
        try:
            return bool(OPERATORS[self.sign](found, float(self.value)))
        except ValueError:
            if self.equality:
                return self.sign == "!="
            raise UsageError(f"--where {self.text}: {self.key} is a number, {self.value!r} is none") from None

    def _words(self, found: Any) -> tuple[str, str]:
        """The value of a run and the one asked for, as text that is equal where they are."""
        word = pair("", found)[1:] or "none"
        if isinstance(found, bool):
            return word, str(TRUTH.get(self.value.lower(), self.value)).lower()
        if self.key in NAMES and "/" not in self.value:
            word = word.rpartition("/")[2]
        return word, ",".join(part.strip() for part in self.value.split(",")) if isinstance(found, list) else self.value


def condition(text: str) -> Condition:
    """The condition that a user wrote.

    Raises:
        UsageError: it has no operator, or asks for a component with its options at once.
    """
    match = FORM.fullmatch(text)
    if match is None or not match[3]:
        raise UsageError(f"--where {text}: write KEY=VALUE, or !=, <, <=, >, >= in place of =, as 'arch.width>=0.5'")
    key, sign, value = match.groups()
    if key in NAMES and ":" in value:
        name, _, rest = value.partition(":")
        raise UsageError(f"--where {text}: name one thing at a time: --where {key}={name} --where '{key}.{rest.split(',')[0]}'")
    return Condition(text, _plain(key), sign, value)


def order(text: str) -> tuple[str, bool]:
    """The key of a ``--sort``, and whether the largest comes first."""
    return _plain(text.removeprefix("-")), text.startswith("-")


def check(keys: Iterable[tuple[str, str]], runs: Sequence[Mapping[str, Any]], registry: Registry) -> None:
    """Refuse keys, given with the words they come from, that neither a run nor any installed component has.

    Raises:
        UsageError: with the nearest that is known.
    """
    known = dict.fromkeys([*OWN, *NAMES, PARENT, *RESULTS, *(key for values in runs for key in values)])
    for key, text in keys:
        if key not in known and key not in (offered := _offered(registry)):
            hint = nearest(key, [*known, *offered]) or "; `wn show RUN` shows what they have"
            raise UsageError(f"{text}: runs have no {key!r}{hint}")


def _offered(registry: Registry) -> set[str]:
    """Every option of every method, network and data set that is installed."""
    from widenet.components import Dataset, Method, Model

    prefixes = {Method: "", Model: "arch.", Dataset: "dataset."}
    return {
        f"{prefix}{option.name}"
        for kind, prefix in prefixes.items()
        for component in registry.components(kind)
        for option in options(component.config)
    }


def values(run: Run) -> dict[str, Any]:
    """All that can be asked of a run, by key: what it is, its settings, its result."""
    from widenet.runs import note

    record = run.record
    own = {"run": run.name, "status": record["status"], "seed": record.get("seed"), "started": record["started"]}
    own |= {"seconds": record.get("seconds"), "note": note(run)}
    return {**record.get("result", {}), **settings(run), **own}


def in_order(runs: Iterable[Listed], key: str, descending: bool) -> list[Listed]:
    """The runs sorted by a value: numbers before words, and those that lack it last, whichever way."""
    have: list[Listed] = []
    lack: list[Listed] = []
    for run in runs:
        (lack if run[1].get(key) is None else have).append(run)
    return sorted(have, key=lambda run: _rank(run[1][key]), reverse=descending) + lack


def _rank(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, (int, float))
    return not number, float(value) if number else 0.0, "" if number else pair("", value)


def _plain(key: str) -> str:
    return key.replace("-", "_")
