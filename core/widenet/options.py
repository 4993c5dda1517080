"""Option classes and the values for them: text, TOML and presets in, checked instances and canonical form out."""

from __future__ import annotations

import functools
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from widenet.errors import UsageError

SCALARS: dict[type, tuple[str, str]] = {
    bool: ("true|false", "neither true nor false"),
    int: ("INT", "no whole number"),
    float: ("FLOAT", "no number"),
    str: ("TEXT", "no text; put it in quotes"),
    Path: ("PATH", "no path; put it in quotes"),
}
"""Types of a value, each with its word in the help and what is said of a value that is none."""
TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
COMMAND_LINE = "command line"
"""The strongest layer of options, as records call it."""


@attrs.frozen
class Option:
    """One field of an option class, its annotation taken apart."""

    name: str
    type: type
    """Type of a value, or of an element where ``many``."""
    help: str
    default: Any
    choices: tuple[str, ...] = ()
    many: bool = False
    optional: bool = False
    also: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def required(self) -> bool:
        """Has no default."""
        return self.default is attrs.NOTHING

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name that the command line has for it."""
        return (self.name, *self.also, *((f"no_{self.name}",) if self.type is bool and not self.many else ()))

    @property
    def flag(self) -> str:
        """Its spelling on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def metavar(self) -> str:
        """What stands for its value in the help."""
        word = "|".join(self.choices) or SCALARS[self.type][0]
        return f"{word},..." if self.many else word


@functools.cache
def options(config: type) -> tuple[Option, ...]:
    """The options of an attrs class, in order of definition.

    Raises:
        TypeError: not an attrs class; a field's annotation is none of bool, int, float, str, Path, Literal of strings,
            ``tuple[T, ...]`` and ``T | None`` of these; its default is of another type; or two options share a spelling.
    """
    if not attrs.has(config):
        raise TypeError(f"{config!r} is no attrs class")
    hints = typing.get_type_hints(config)
    found = tuple(_option(field, hints.get(field.name)) for field in attrs.fields(config) if field.init)
    spelled = [name for option in found for name in option.spellings]
    if twice := sorted({name for name in spelled if spelled.count(name) > 1}):
        raise TypeError(f"{config.__name__}: two options are spelled {', '.join(twice)}")
    return found


def _option(field: attrs.Attribute, hint: Any) -> Option:
    if field.name.startswith("_"):
        raise TypeError(f"option {field.name!r} starts with an underscore")
    given, optional, many = hint, False, False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(hint) if part is not type(None)]
        optional, hint = True, rest[0] if len(rest) == 1 and len(typing.get_args(hint)) == 2 else None
    if typing.get_origin(hint) is tuple:
        parts = typing.get_args(hint)
        many, hint = True, parts[0] if len(parts) == 2 and parts[1] is Ellipsis else None
    choices: tuple[str, ...] = ()
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        hint = str if all(isinstance(choice, str) for choice in choices) else None
    if hint not in SCALARS:
        raise TypeError(f"option {field.name!r} has the annotation {given!r}, which no command line can express")
    default = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory()  # type: ignore[union-attr]
    meta = field.metadata
    option = Option(field.name, hint, meta.get("help", ""), default, choices, many, optional, meta.get("also", {}))
    try:
        return option if option.required else attrs.evolve(option, default=convert(option, default))
    except ValueError as error:
        raise TypeError(f"option {field.name!r}: its default: {error}") from None


def convert(option: Option, value: Any) -> Any:
    """``value`` (text, or a value from TOML or a preset) in the option's type.

    Raises:
        ValueError: it has no such meaning; the message says what would.
    """
    if value is None or (option.optional and value == "none"):
        if option.optional:
            return None
        raise ValueError("needs a value")
    if not option.many:
        return _scalar(option, value)
    if value == "none":
        return ()
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    return tuple(_scalar(option, part) for part in (parts if isinstance(parts, (list, tuple)) else [parts]))


def _scalar(option: Option, value: Any) -> Any:
    if option.choices:
        if value not in option.choices:
            raise ValueError(f"{value!r} is none of {', '.join(option.choices)}{nearest(str(value), option.choices)}")
        return value
    fault = ValueError(f"{value!r} is {SCALARS[option.type][1]}")
    if option.type is bool:
        if str(value).lower() not in TRUTH:
            raise fault
        return TRUTH[str(value).lower()]
    takes = (str, Path) if option.type in (str, Path) else (str, int, float)
    fraction = option.type is int and isinstance(value, float) and not value.is_integer()
    if isinstance(value, bool) or not isinstance(value, takes) or fraction:
        raise fault
    try:
        converted = option.type(value)
    except (ValueError, OverflowError):
        raise fault from None
    if isinstance(converted, float) and not math.isfinite(converted):
        raise ValueError(f"{value!r} is not finite")
    return converted


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` where something known is close to ``name``, else nothing."""
    import difflib

    names = list(known)
    # The beginning of a long name is not close to it by letters, but it is what people type.
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6) or [n for n in names if len(name) > 2 and name in n]
    return f"; did you mean {close[0]!r}?" if close else ""


def resolve(config: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Canonical names and converted values of ``values``, whose keys may use hyphens and alternative spellings.

    Raises:
        UsageError: an unknown key (with the nearest known one), one option given twice, a value of the wrong type.
    """
    known = {option.name: option for option in options(config)}
    also = {other: option for option in known.values() for other in option.also}
    result: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        place = f"--{key.replace('_', '-')}" if where == COMMAND_LINE else f"{where}: {key}"
        option = known.get(name) or also.get(name)
        if option is None:
            raise UsageError(f"{where}: unknown option {key!r}{nearest(name, [*known, *also])}")
        try:
            converted = convert(option, value)
            if name in also:
                converted = option.also[name](converted)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{place}: {error}") from None
        if option.name in result:
            raise UsageError(f"{place} sets {option.name} a second time; give one of them")
        result[option.name] = converted
    return result


def build(config: type, values: Mapping[str, Any], where: str) -> Any:
    """An instance of ``config``; ``values`` as :func:`resolve` returns them.

    Raises:
        UsageError: a required option is missing, or a validator refuses a value, with its reason.
    """
    for option in options(config):
        if option.required and option.name not in values:
            raise UsageError(f"{where}: {option.name} is required: {option.help}")
    defaults = {option.name: option.default for option in options(config) if not option.required}
    try:
        return config(**{**defaults, **values})
    except (ValueError, TypeError) as error:
        raise UsageError(f"{where}: {error.args[0] if error.args else error}") from None


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it."""
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def effective(config: Any) -> dict[str, Any]:
    """Every option of an instance, as JSON can hold it."""
    return {option.name: plain(getattr(config, option.name)) for option in options(config.__class__)}


def changed(config: Any) -> dict[str, Any]:
    """The options that differ from their defaults: what a run's folder is named after."""
    pairs = [(option, getattr(config, option.name)) for option in options(config.__class__)]
    return {option.name: plain(value) for option, value in pairs if option.required or value != option.default}


def canonical(content: Any) -> str:
    """JSON with sorted keys and no white space, the same for equal content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def digest(content: Any) -> str:
    """Eight hex digits of SHA-256 over the canonical JSON: what a folder's name ends in."""
    import hashlib

    return hashlib.sha256(canonical(content).encode()).hexdigest()[:8]


def split_spec(spec: str) -> tuple[str, dict[str, str]]:
    """``"conv4:width=0.5,bias=true"`` -> ``("conv4", {"width": "0.5", "bias": "true"})``.

    A piece without ``=`` continues the value before it, so ``fc:hidden=300,100`` is one option.

    Raises:
        UsageError: options that do not start with ``key=``, or a key twice.
    """
    name, _, rest = spec.partition(":")
    result: dict[str, str] = {}
    key = ""
    for piece in rest.split(",") if rest else []:
        before, sign, after = piece.partition("=")
        if sign:
            key = before.strip()
            if key in result:
                raise UsageError(f"{spec}: {key} is given twice")
            result[key] = after
        elif key:
            result[key] += "," + piece
        else:
            raise UsageError(f"{spec}: {piece!r} is no key=value; write {name}:key=value,key=value")
    return name, result


def read_toml(path: Path) -> dict[str, Any]:
    """The options in a TOML file.

    Raises:
        UsageError: no such file, not TOML, or a table where a plain value belongs.
    """
    import tomllib

    try:
        content = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:  # not UTF-8, not TOML, or a number beyond all bounds
        raise UsageError(f"{path} is no valid TOML: {error}") from None
    for key, value in content.items():
        if isinstance(value, dict):
            raise UsageError(f"{path}: [{key}] is a table; write plain lines such as epochs = 5")
    return content


def text(value: Any) -> str:
    """A value as the command line takes it: ``300,100``, ``true``, ``none``."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    words = ["none" if part is None else str(part).lower() if isinstance(part, bool) else str(part) for part in parts]
    return ",".join(words)


def pair(name: str, value: Any) -> str:
    """An option as the command line takes it: ``hidden=300,100``."""
    return f"{name}={text(value)}"


def spec(entry: Mapping[str, Any]) -> str:
    """A recorded component as ``--arch`` and ``--dataset`` take it: ``core/fc:hidden=300,100,bias=true``."""
    options = ",".join(pair(name, value) for name, value in entry["options"].items())
    return f"{entry['name']}:{options}" if options else entry["name"]
