"""Listings and help answer at once: they load no numerical library."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "numpy", "scipy", "h5py", "sklearn", "matplotlib", "triton", "pandas", "PIL", "rich")
DRIVER = f"""
import contextlib, io, sys
from widenet.cli.main import guarded

for words in sys.stdin.read().splitlines():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = guarded(words.split())
    loaded = [name for name in {HEAVY} if name in sys.modules]
    assert code == 0 and not loaded, (words, code, loaded, said.getvalue())
"""
COMMANDS = """--help
--version
list-plugins
list-plugins --json
list models
list datasets --json
list methods
list analyses
list exports
show supermask
show core --json
show conv4
show weight-symmetry
show shuffled-mask
show mnist-fc --json
show redundant-repr
show wrn28
show parity --json
run --help
run supermask --help
run train --help
run shuffled-mask --help
run prune --help
run redundant-repr --help
analyze --help
analyze mask-stats --help
analyze symmetry --help
analyze symmetry-across --help
analyze chunks --help
analyze bias-variance --help
capture --help
export --help
runs --help
new-plugin --help
new-plugin fresh
check-plugin --help
runs --runs-dir {runs}
runs --runs-dir {runs} --json
runs --runs-dir {runs} --csv
runs --runs-dir {runs} --csv-all --where method=supermask --sort -keep
compare --help
show {run}
show {run} --json"""


def test_nothing_heavy_is_imported(supermask_run, tmp_path):
    commands = COMMANDS.format(runs=supermask_run.parents[1], run=supermask_run)
    done = subprocess.run([sys.executable, "-c", DRIVER], input=commands, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "widenet",
        "widenet.testing",
        "widenet.builtin.plugin",
        "widenet_redundant_repr",
        "widenet_supermask",
        "widenet_weight_symmetry",
        "widenet.store",
    ],
)
def test_nothing_heavy_is_imported_by(module):
    code = f"import sys, {module}; assert not [name for name in {HEAVY} if name in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_usage_errors_come_before_torch(tmp_path):
    """A mistyped command is refused at once."""
    code = (
        "import sys; from widenet.cli.main import guarded; assert guarded(sys.argv[1:]) == 2; assert 'torch' not in sys.modules"
    )
    for words in (
        ["run", "supermsk"],
        ["run", "supermask", "--keep", "2"],
        ["run", "supermask", "--preset", "papr"],
        ["run", "shuffled-mask", "--sparsity", "1"],
        ["run", "prune", "--rates", "5=0.6,2=0.3"],
        ["run", "redundant-repr", "--sizes", "4", "--grid", "all"],
        ["capture", "nosuch", "--layers", "fc"],
        ["capture", "nosuch", "--layers", "fc", "--split", "all"],
    ):
        subprocess.run([sys.executable, "-c", code, *words], check=True, cwd=tmp_path, capture_output=True)
