"""A new plugin, written from the templates beside this file."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from string import Template

from widenet.components import NAME
from widenet.errors import UsageError, WnError

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
    name = name.removeprefix("widenet-")
    if not NAME.fullmatch(name) or "_" in name or not name[0].isalpha():
        raise UsageError(f"{name!r} is no plugin name: lower-case letters and digits joined by hyphens, a letter first")
    if name in taken:
        raise UsageError(f"the name {name!r} is taken by what is installed; choose another")
    folder = into / f"widenet-{name}"
    if folder.exists():
        raise UsageError(f"{folder} exists already; choose another name or --into")
    module = name.replace("-", "_")
    title = module.title().replace("_", "") + "Options"
    words = {"name": name, "module": module, "package": f"widenet_{module}", "title": title}
    try:
        for target, source in FILES.items():
            path = folder / target.format(**words)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template((Path(__file__).parent / source).read_text()).substitute(words))
    except OSError as error:
        raise WnError(f"cannot write {folder} ({error.strerror}); choose another folder with --into") from error
    return folder
