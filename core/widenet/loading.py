"""Finding, loading and checking plugins: one that fails is remembered as broken and hurts no other."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import attrs
import pluggy

from widenet.components import FLAGS, NAME, Component, Settings
from widenet.errors import UsageError
from widenet.options import build, nearest, options, resolve
from widenet.plugins import GROUP, KINDS, Hooks, Plugin, Registry

CORE = "widenet.builtin.plugin"
HEAVY = ("torch", "torchvision", "scipy", "h5py", "sklearn", "matplotlib", "triton", "pandas")
"""What a plugin must not import at its top level, or every command would wait for it."""
CHOICES = ("arch", "dataset")
"""What a preset may choose beside the method's own options."""


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
            _collect(_hooks(registry.manager, module), plugin)
            registry.manager.register(module, name)
    except (Exception, SystemExit) as error:
        if os.environ.get("WN_STRICT"):
            raise
        if module is not None and registry.manager.get_plugin(name) is module:
            registry.manager.unregister(name=name)
        plugin.error = " ".join(f"{type(error).__name__}: {error}".split())
    plugin.seconds = time.perf_counter() - start
    plugin.heavy = tuple(heavy for heavy in HEAVY if heavy in sys.modules and heavy not in before)
    registry.plugins[name if name not in registry.plugins else f"{name} ({plugin.origin})"] = plugin


def _module(source: EntryPoint | Path) -> Any:
    if isinstance(source, EntryPoint):
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


def _hooks(manager: pluggy.PluginManager, module: Any) -> dict[str, Callable[..., Any]]:
    """What a module implements, by hook; refuses what this version does not call, or calls with other arguments."""
    found = {name: getattr(module, name) for name in dir(module) if manager.parse_hookimpl_opts(module, name) is not None}
    if not found:
        raise TypeError("it implements no hook; mark its functions with @hookimpl")
    known = {name: spec for name, spec in vars(Hooks).items() if not name.startswith("_")}
    for name, function in found.items():
        if name not in known:
            raise TypeError(f"unknown hook {name!r}, was it written for another version? hooks are {', '.join(known)}")
        if extra := inspect.signature(function).parameters.keys() - inspect.signature(known[name]).parameters.keys():
            raise TypeError(f"hook {name} is called without {', '.join(sorted(extra))}; was it written for another version?")
    return found


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
        _check(component)


def _check(component: Component) -> None:
    """Refuse a component that could not work: its name, signature, options or presets."""
    what = f"{component.kind} {component.name!r}"
    if not NAME.fullmatch(component.name):
        raise ValueError(f"{what}: names are lower-case letters and digits joined by - or _")
    try:
        inspect.signature(component.function).bind(*component.arguments)
    except TypeError:
        raise TypeError(f"{what}: its function must take ({', '.join(component.arguments)})") from None
    if component.kind in ("method", "analysis"):
        taken = {option.name for option in options(Settings)} | set(FLAGS)
        for option in options(component.config):
            if taken & {option.name, *option.also}:
                raise ValueError(f"{what}: every command has an option {option.name!r} of its own; rename it")
    required = {option.name for option in options(component.config) if option.required}
    for preset, values in {"": {}, **component.presets}.items():
        where = f"{what}, preset {preset!r}" if preset else f"{what}, defaults"
        own = resolve(component.config, {k: v for k, v in values.items() if k not in CHOICES}, where)
        if required <= own.keys():
            build(component.config, own, where)
