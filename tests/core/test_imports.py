"""Imports inside the core go one way, and what a listing loads stays light."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "core" / "widenet"
ORDER = [
    *(
        "errors",
        "components",
        "options",
        "recipes",
        "plugins",
        "checking",
        "loading",
        "files",
        "store",
        "weights",
        "runs",
        "figures",
        "data",
    ),
    *("masks", "kernels", "train", "capture", "opening", "plan", "grid", "execute", "analyse", "export", "cost", "study"),
    *("compare", "paired", "legends", "series", "curves", "outcomes", "report"),
    *("builtin", "engines", "scaffold", "testing", "matrix", "cli"),
]
"""Each part imports only from those before it."""
FACE = {"components", "errors", "plugins", "recipes"}
"""What ``import widenet`` itself loads."""
HEAVY = {
    *("torch", "torchvision", "numpy", "scipy", "h5py", "sklearn"),
    *("matplotlib", "triton", "numba", "pandas", "rich", "PIL", "jinja2"),
}
LONGEST = 400


def part(path):
    """The name in ORDER of the part that a file belongs to."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def imported(tree):
    """Every module named in an import, wherever it stands, but for type checkers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = [path for path in sorted(CORE.rglob("*.py")) if path.name != "__main__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_no_arrow_points_back(path):
    used = {name.split(".")[1] for name in imported(ast.parse(path.read_text())) if name.startswith("widenet.")}
    # Names of the package itself, as in `from widenet import opt`, stand for the parts that it loads.
    parts = {name for name in used if name in ORDER} | (FACE if used - set(ORDER) - {"__version__"} else set())
    if path == CORE / "__init__.py":
        assert parts <= FACE
        return
    assert part(path) in ORDER, f"give {part(path)} a place in ORDER"
    back = {name for name in parts if ORDER.index(name) > ORDER.index(part(path))}
    assert not back, f"{part(path)} comes before {', '.join(back)}"


def at_import(tree):
    """First parts of the modules that importing a file imports."""
    nodes = [node for node in tree.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    return {name.split(".")[0] for node in nodes for name in imported(ast.Module([node], []))}


LIGHT = [
    *[CORE / f"{name}.py" for name in ("__init__", "errors", "components", "options", "plugins", "checking", "loading")],
    *[CORE / f"{name}.py" for name in ("files", "figures", "store", "weights", "execute", "analyse", "export", "testing")],
    *[CORE / f"{name}.py" for name in ("compare", "paired", "legends", "series", "curves", "outcomes")],
    *[path for path in FILES if part(path) in ("runs", "scaffold") or (part(path) == "cli" and path.stem != "progress")],
    *[CORE / "builtin" / f"{name}.py" for name in ("__init__", "plugin", "importing", "training", "mask_stats")],
    *[CORE / "builtin" / f"{name}.py" for name in ("datasets/statistics", "subnet", "tensorboard")],
    *sorted(CORE.glob("builtin/*/__init__.py")),
    *sorted(ROOT.glob("plugins/*/widenet_*/__init__.py")),
]


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: str(path.relative_to(ROOT)))
def test_declarations_and_commands_import_nothing_heavy(path):
    assert not at_import(ast.parse(path.read_text())) & HEAVY


def test_files_are_short():
    files = [*FILES, *ROOT.glob("plugins/*/widenet_*/**/*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert not {name: length for name, length in lengths.items() if length > LONGEST}
