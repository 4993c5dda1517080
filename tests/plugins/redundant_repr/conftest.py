"""The core's helpers are these tests' too: commands in processes of their own, runs held against each other."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "core"))
