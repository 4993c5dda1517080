"""A class with an option of every kind."""

from pathlib import Path
from typing import Literal, Optional

import attrs
from attrs.validators import ge

from widenet.components import opt
from widenet.options import options

Colour = Literal["red", "green", "deep-blue"]


@attrs.frozen(kw_only=True)
class Every:
    flag: bool = opt(False, "A flag.")
    count: int = opt(3, "A count.", validator=ge(0))
    rate: float = opt(1, "A rate.")
    word: str = opt("abc", "A word.")
    file: Path = opt("a/b", "A file.")
    colour: Colour = opt("red", "A colour.")
    sizes: tuple[int, ...] = opt((3, 4), "Sizes.")
    rates: tuple[float, ...] = opt((), "Rates.")
    colours: tuple[Colour, ...] = opt(("red",), "Colours.")
    limit: int | None = opt(None, "A limit.")
    place: Optional[Path] = opt(None, "A place.")  # noqa: UP045 - the older spelling is the same
    steps: tuple[int, ...] | None = opt(None, "Steps.")


BY_NAME = {option.name: option for option in options(Every)}
