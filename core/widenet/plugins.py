"""Hooks, and how plugins are found, checked and kept apart: one that fails is remembered as broken and hurts no other."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import attrs
import pluggy

from widenet.components import NAME, Analysis, Component, Dataset, Method, Model
from widenet.errors import BrokenPlugin, UsageError
from widenet.options import build, nearest, options, resolve

GROUP = "widenet"
KINDS: dict[str, type[Component]] = {"models": Model, "datasets": Dataset, "methods": Method, "analyses": Analysis}
HEAVY = ("torch", "torchvision", "scipy", "h5py", "sklearn", "matplotlib", "triton", "pandas")
CHOICES = ("arch", "dataset")
"""What a preset may choose beside the method's own options."""
SLOW = 0.5
"""Seconds of import time from which a plugin is called slow."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Hooks:
    """What a plugin may implement; every hook is optional."""

    @hookspec
    def models(self) -> Iterable[Model]:  # type: ignore[empty-body]
        """Networks for ``--arch``."""

    @hookspec
    def datasets(self) -> Iterable[Dataset]:  # type: ignore[empty-body]
        """Data for ``--dataset``."""

    @hookspec
    def methods(self) -> Iterable[Method]:  # type: ignore[empty-body]
        """Procedures for ``wn run``."""

    @hookspec
    def analyses(self) -> Iterable[Analysis]:  # type: ignore[empty-body]
        """Procedures for ``wn analyze``."""

    @hookspec
    def logged(self, run: Any, values: Mapping[str, Any]) -> None:
        """One line went into ``metrics.jsonl``."""

    @hookspec
    def finished(self, run: Any) -> None:
        """A run ended well; its results are on disk."""


@attrs.define
class Plugin:
    """One plugin as found: what it yields, or why it is broken."""

    name: str
    origin: str
    version: str = ""
    seconds: float = 0.0
    heavy: tuple[str, ...] = ()
    components: list[Component] = attrs.field(factory=list)
    error: str = ""

    @property
    def status(self) -> str:
        """``ok``, ``slow`` or ``broken``."""
        return "broken" if self.error else "slow" if self.heavy or self.seconds > SLOW else "ok"


@attrs.define
class Registry:
    """All plugins of this process, and look-up by name."""

    plugins: dict[str, Plugin] = attrs.field(factory=dict)
    manager: pluggy.PluginManager = attrs.field(factory=lambda: pluggy.PluginManager(GROUP))

    def components(self, kind: type[Component]) -> list[Component]:
        """Every usable component of a kind, by full name."""
        usable = [c for p in self.plugins.values() if not p.error for c in p.components if isinstance(c, kind)]
        return sorted(usable, key=lambda component: (component.plugin != "core", component.full_name))

    def shown(self, component: Component) -> str:
        """The name a user types: the bare one where it is unique."""
        same = [c for c in self.components(type(component)) if c.name == component.name]
        return component.name if len(same) == 1 else component.full_name

    def find(self, kind: type[Component], name: str) -> Component:
        """The component called ``name`` or ``plugin/name``.

        Raises:
            UsageError: unknown (with the nearest name), or several plugins have it.
            BrokenPlugin: the plugin that has it could not be loaded.
        """
        matches = [c for c in self.components(kind) if name in (c.name, c.full_name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            names = " and ".join(c.full_name for c in matches)
            raise UsageError(f"{kind.kind} {name!r} is ambiguous between {names}; use the full name")
        broken = [plugin for plugin in self.plugins.values() if plugin.error]
        for plugin in broken:
            lost = any(isinstance(c, kind) and name == c.name for c in plugin.components)
            if lost or name.partition("/")[0] == plugin.name:
                raise BrokenPlugin(f"{kind.kind} {name!r}: its plugin {plugin.name} is broken ({plugin.error})")
        known = [shown for c in self.components(kind) for shown in (c.name, c.full_name)]
        hint = nearest(name, known) or f"; `wn list {_plural(kind)}` shows all"
        lost_ones = "".join(f"; plugin {p.name} is broken ({p.error}) and may have it" for p in broken)
        raise UsageError(f"unknown {kind.kind} {name!r}{hint}{lost_ones}")

    def emit(self, event: str, **values: Any) -> Iterator[str]:
        """Call an event hook plugin by plugin; yields one line for each that fails, which is then left out."""
        for impl in getattr(self.manager.hook, event).get_hookimpls():
            try:
                impl.function(*(values[argument] for argument in impl.argnames))
            except Exception as error:
                if os.environ.get("WN_STRICT"):
                    raise
                self.manager.unregister(impl.plugin)
                yield f"plugin {impl.plugin_name} failed on {event} ({type(error).__name__}: {error}); left out from here"


def load(files: Iterable[Path] = (), only: str | None = None) -> Registry:
    """Find and load all plugins: installed ones, and one from each of ``files``.

    ``only`` (as ``WN_PLUGINS``) is a comma-separated list of names to which loading is restricted; ``core`` is always loaded.
    A plugin that fails is kept as broken with the reason; ``WN_STRICT=1`` lets its exception through.

    Raises:
        UsageError: a name in ``only`` is not installed, or a file does not exist.
    """
    registry = Registry()
    registry.manager.add_hookspecs(Hooks)
    found = sorted(entry_points(group=GROUP), key=lambda point: (point.name != "core", point.name, point.value))
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
    before = set(sys.modules)
    start = time.perf_counter()
    module = None
    try:
        if name in registry.plugins:
            raise ValueError(f"the name {name} is taken by {registry.plugins[name].origin}")
        # What a plugin prints on import must not mix with the data on stdout.
        with contextlib.redirect_stdout(sys.stderr):
            module = _module(source)
            registry.manager.register(module, name)
            _collect(registry.manager, module, plugin)
    except (Exception, SystemExit) as error:
        if os.environ.get("WN_STRICT"):
            raise
        if module is not None and registry.manager.is_registered(module):
            registry.manager.unregister(module)
        plugin.error = " ".join(f"{type(error).__name__}: {error}".split())
    plugin.seconds = time.perf_counter() - start
    plugin.heavy = tuple(heavy for heavy in HEAVY if heavy in sys.modules and heavy not in before)
    registry.plugins[name if name not in registry.plugins else f"{name} ({plugin.origin})"] = plugin


def _module(source: EntryPoint | Path) -> Any:
    if isinstance(source, EntryPoint):
        return source.load()
    name = f"widenet_file_{source.stem}"
    spec = importlib.util.spec_from_file_location(name, source)
    if spec is None or spec.loader is None:
        raise ImportError(f"{source} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _collect(manager: pluggy.PluginManager, module: Any, plugin: Plugin) -> None:
    """Call the plugin's hooks and check what they yield."""
    callers = manager.get_hookcallers(module) or []
    if not callers:
        raise TypeError("it implements no hook; mark its functions with @hookimpl")
    for caller in callers:
        if not caller.has_spec():
            hooks = ", ".join(name for name in vars(Hooks) if not name.startswith("_"))
            raise TypeError(f"unknown hook {caller.name!r}, was it written for another version? hooks are {hooks}")
    mine = {caller.name: impl for caller in callers for impl in caller.get_hookimpls() if impl.plugin is module}
    for hook, kind in KINDS.items():
        for component in mine[hook].function() if hook in mine else ():
            if not isinstance(component, kind):
                raise TypeError(f"hook {hook} yields {component!r}, which is no {kind.__name__}")
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
        raise ValueError(f"{what}: names are lower-case letters and digits joined by hyphens")
    try:
        inspect.signature(component.function).bind(*component.arguments)
    except TypeError:
        raise TypeError(f"{what}: its function must take ({', '.join(component.arguments)})") from None
    required = {option.name for option in options(component.config) if option.required}
    for preset, values in {"": {}, **component.presets}.items():
        where = f"{what}, preset {preset!r}" if preset else f"{what}, defaults"
        own = resolve(component.config, {k: v for k, v in values.items() if k not in CHOICES}, where)
        if required <= own.keys():
            build(component.config, own, where)


def _plural(kind: type[Component]) -> str:
    return next(plural for plural, cls in KINDS.items() if cls is kind)
