"""A new plugin, written from the templates beside this file."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from string import Template

from widenet.components import NAME
from widenet.errors import UsageError
from widenet.files import writable

FILES = {
    "pyproject.toml": "pyproject.tmpl",
    "README.md": "readme.tmpl",
    "{package}/__init__.py": "plugin.tmpl",
    "tests/test_{module}.py": "test.tmpl",
}


def write_plugin(name: str, into: Path, taken: Container[str] = ()) -> Path:
    """Write ``widenet-<name>`` into a folder and return its path.

    Raises:
        UsageError: the name is no plugin name, is taken, or the folder exists.
        WnError: the folder cannot be written.
    """
    if not NAME.fullmatch(name) or "_" in name or not name[0].isalpha():
        raise UsageError(f"{name!r} is no plugin name: lower-case letters and digits joined by hyphens, a letter first")
    if name in taken:
        raise UsageError(f"a plugin {name!r} is installed already; choose another name")
    folder = into / f"widenet-{name}"
    if folder.exists():
        raise UsageError(f"{folder} exists already; choose another name or --into")
    module = name.replace("-", "_")
    words = {"name": name, "module": module, "package": f"widenet_{module}", "title": module.title().replace("_", "")}
    templates = Path(__file__).parent
    with writable(folder):
        for target, source in FILES.items():
            path = folder / target.format(**words)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template((templates / source).read_text()).substitute(words))
    return folder
