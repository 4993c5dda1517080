"""Finding and loading plugins: one that fails is remembered as broken and hurts no other."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import attrs

from widenet.checking import check, check_preset, implemented
from widenet.components import Component, Method
from widenet.errors import UsageError
from widenet.options import nearest
from widenet.plugins import GROUP, KINDS, Hooks, Plugin, Registry

CORE = "widenet.builtin.plugin"
HEAVY = ("torch", "torchvision", "scipy", "h5py", "sklearn", "matplotlib", "triton", "numba", "pandas")
"""What a plugin must not import at its top level, or every command would wait for it."""


def load(files: Iterable[Path] = (), only: str | None = None) -> Registry:
    """Find and load all plugins: installed ones, and one from each of ``files``.

    ``only`` (as ``WN_PLUGINS``) is a comma-separated list of names to which loading is restricted; ``core`` is always loaded.
    A plugin that fails is kept as broken with the reason; ``WN_STRICT=1`` lets its exception through.

    Raises:
        UsageError: a name in ``only`` is not installed, or a file does not exist.
    """
    registry = Registry()
    registry.manager.add_hookspecs(Hooks)
    # Core first, so that no other distribution can take its name.
    found = sorted(entry_points(group=GROUP), key=lambda point: (point.value != CORE, point.name, point.value))
    if only is not None:
        wanted = {"core", *(name.strip() for name in only.split(",") if name.strip())}
        for name in sorted(wanted - {point.name for point in found}):
            raise UsageError(f"WN_PLUGINS: no plugin {name!r} is installed{nearest(name, [p.name for p in found])}")
        found = [point for point in found if point.name in wanted]
    for point in found:
        _load(registry, point.name, point)
    for file in files:
        if not file.is_file():
            raise UsageError(f"--plugin {file}: no such file")
        _load(registry, file.stem.replace("_", "-"), file)
    for plugin in registry.plugins.values():
        if not plugin.error:
            _hand_out(registry, plugin)
    return registry


def _load(registry: Registry, name: str, source: EntryPoint | Path) -> None:
    if isinstance(source, Path):
        plugin = Plugin(name, str(source))
    else:
        dist = source.dist
        plugin = Plugin(name, dist.name if dist else source.value, dist.version if dist else "")
    before = {heavy for heavy in HEAVY if heavy in sys.modules}
    start = time.perf_counter()
    module = None
    try:
        if name in registry.plugins:
            raise ValueError(f"the name {name} is taken by {registry.plugins[name].origin}")
        # What a plugin prints on import must not mix with the data on stdout.
        with contextlib.redirect_stdout(sys.stderr):
            module = _module(source)
            if registry.manager.is_registered(module):
                raise ValueError(f"its module is the plugin {registry.manager.get_name(module)} already")
            _collect(implemented(registry.manager, module), plugin)
            registry.manager.register(module, name)
    except (Exception, SystemExit) as error:
        if module is not None and registry.manager.get_plugin(name) is module:
            registry.manager.unregister(name=name)
        _give_up(plugin, error)
    plugin.seconds = time.perf_counter() - start
    plugin.heavy = tuple(heavy for heavy in HEAVY if heavy in sys.modules and heavy not in before)
    registry.plugins[name if name not in registry.plugins else f"{name} ({plugin.origin})"] = plugin


def _give_up(plugin: Plugin, error: BaseException) -> None:
    """Remember that it is broken, and why."""
    if os.environ.get("WN_STRICT"):
        raise error
    plugin.error = " ".join(f"{type(error).__name__}: {error}".split())


def _module(source: EntryPoint | Path) -> Any:
    if not isinstance(source, Path):  # its class may be the backport's, which other packages install over the library's
        return source.load()
    import importlib.util

    name = f"widenet_file_{source.stem}"
    spec = importlib.util.spec_from_file_location(name, source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _collect(hooks: Mapping[str, Callable[..., Any]], plugin: Plugin) -> None:
    """Call the plugin's hooks and check what they yield."""
    for hook, kind in KINDS.items():
        yielded = hooks[hook]() if hook in hooks else ()
        if not isinstance(yielded, Iterable):
            raise TypeError(f"hook {hook} returns {yielded!r}; let it yield each {kind.__name__}")
        for component in yielded:
            if not isinstance(component, kind):
                found = f"{component.kind} {component.name!r}" if isinstance(component, Component) else repr(component)
                raise TypeError(f"hook {hook} yields {found}, which is no {kind.__name__}")
            plugin.components.append(attrs.evolve(component, plugin=plugin.name))
    seen: set[tuple[str, str]] = set()
    for component in plugin.components:
        if (component.kind, component.name) in seen:
            raise ValueError(f"two components of kind {component.kind} are called {component.name!r}")
        seen.add((component.kind, component.name))
        check(component)
    if "presets" in hooks:
        plugin.presets = hooks["presets"]()
        if not isinstance(plugin.presets, Mapping):
            raise TypeError(f"hook presets returns {plugin.presets!r}; let it return presets by the method's name")


def _hand_out(registry: Registry, plugin: Plugin) -> None:
    """Add the presets that a plugin offers to the methods they are for: all of them, or none where one is wrong."""
    changed: dict[str, tuple[Component, Component]] = {}
    try:
        for name, presets in plugin.presets.items():
            method = registry.find(Method, name)
            _, so_far = changed.get(method.full_name, (method, method))
            changed[method.full_name] = (method, _enriched(so_far, presets))
    except Exception as error:
        registry.manager.unregister(name=plugin.name)
        _give_up(plugin, error)
        return
    for before, after in changed.values():
        owned = registry.plugins[before.plugin].components
        owned[owned.index(before)] = after


def _enriched(method: Component, presets: Any) -> Component:
    """The method with more presets, which are checked as its own were.

    Raises:
        ValueError: it has one of that name, or one sets what it must not.
    """
    if not isinstance(presets, Mapping):
        raise TypeError(f"presets for method {method.name!r} are {presets!r}; give the options by the preset's name")
    for name, values in presets.items():
        if name in method.presets:
            raise ValueError(f"method {method.full_name} has a preset {name!r} already")
        check_preset(method, name, values)
    return attrs.evolve(method, presets={**method.presets, **presets})
