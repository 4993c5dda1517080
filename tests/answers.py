"""What ``wn`` left when it came to its end."""

import json
from typing import Any

import attrs


@attrs.frozen
class Answer:
    """Exit code (minus the signal's number where one killed it) and words."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one line that says what is wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("wn: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err + self.out, self.err
        return lines[0].removeprefix("wn: ")
