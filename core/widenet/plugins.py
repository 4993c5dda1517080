"""The hooks a plugin may implement, and the registry of what all plugins yield."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import pluggy

from widenet.components import Analysis, Component, Dataset, Export, Method, Model
from widenet.errors import BrokenPlugin, Stopped, UsageError
from widenet.options import nearest
from widenet.recipes import Recipe

GROUP = "widenet"
KINDS: dict[str, type[Component]] = {
    "models": Model,
    "datasets": Dataset,
    "methods": Method,
    "analyses": Analysis,
    "exports": Export,
    "recipes": Recipe,
}
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
    def exports(self) -> Iterable[Export]:  # type: ignore[empty-body]
        """Forms for ``wn export``."""

    @hookspec
    def recipes(self) -> Iterable[Recipe]:  # type: ignore[empty-body]
        """Claims of papers for ``wn reproduce``."""

    @hookspec
    def presets(self) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:  # type: ignore[empty-body]
        """More presets for methods of other plugins, by the method's name."""

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
    presets: Mapping[str, Mapping[str, Mapping[str, Any]]] = attrs.field(factory=dict)
    """What it offers to methods of others."""
    error: str = ""

    @property
    def status(self) -> str:
        """``ok``, ``slow`` or ``broken``."""
        return "broken" if self.error else "slow" if self.heavy or self.seconds > SLOW else "ok"

    @property
    def why(self) -> str:
        """Why it is broken or slow; empty if it is neither."""
        if self.status != "slow":
            return self.error
        what = f"imports {', '.join(self.heavy)} at its top level" if self.heavy else "does much at its top level"
        return f"takes {self.seconds:.1f} s to load: {what}; move that into its functions"


@attrs.define
class Registry:
    """All plugins of this process, and look-up by name."""

    plugins: dict[str, Plugin] = attrs.field(factory=dict)
    manager: pluggy.PluginManager = attrs.field(factory=lambda: pluggy.PluginManager(GROUP))

    def components(self, kind: type[Component]) -> list[Component]:
        """Every usable component of a kind: core's first, then by plugin, each in the order it yields them."""
        usable = [c for p in self.plugins.values() if not p.error for c in p.components if isinstance(c, kind)]
        return sorted(usable, key=lambda component: (component.plugin != "core", component.plugin))

    def shown(self, component: Component) -> str:
        """The name a user types: the bare one where it is unique."""
        return component.name if len(self.namesakes(component)) == 1 else component.full_name

    def namesakes(self, component: Component) -> list[Component]:
        """Every usable component of the same kind and name, itself included."""
        kind = next(kind for kind in KINDS.values() if isinstance(component, kind))
        return [other for other in self.components(kind) if other.name == component.name]

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
        self.refuse_broken(kind, name)
        known = [shown for c in self.components(kind) for shown in (c.name, c.full_name)]
        hint = nearest(name, known) or f"; `wn list {_plural(kind)}` shows all"
        raise UsageError(f"unknown {kind.kind} {name!r}{hint}{self.broken_ones()}")

    def refuse_broken(self, kind: type[Component], name: str) -> None:
        """Do nothing, unless ``name`` can only mean a component of a plugin that could not be loaded.

        Raises:
            BrokenPlugin: with the reason.
        """
        for plugin in self.plugins.values():
            lost = any(isinstance(c, kind) and name == c.name for c in plugin.components)
            if plugin.error and (lost or name.partition("/")[0] == plugin.name):
                raise BrokenPlugin(f"{name!r} cannot be used: plugin {plugin.name} is broken ({plugin.error})")

    def broken_ones(self) -> str:
        """What is to be said of broken plugins where a name is unknown."""
        broken = [plugin for plugin in self.plugins.values() if plugin.error]
        return "".join(f"; plugin {plugin.name} is broken ({plugin.error}) and may have it" for plugin in broken)

    def emit(self, event: str, **values: Any) -> Iterator[str]:
        """Call an event hook plugin by plugin; yields one line for each that fails, which is then left out."""
        for impl in getattr(self.manager.hook, event).get_hookimpls():
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    impl.function(*(values[argument] for argument in impl.argnames))
            except Stopped:
                raise
            except (Exception, SystemExit) as error:
                if os.environ.get("WN_STRICT"):
                    raise
                self.manager.unregister(impl.plugin)
                yield f"plugin {impl.plugin_name} failed on {event} ({type(error).__name__}: {error}); left out from here"


def _plural(kind: type[Component]) -> str:
    return next(plural for plural, cls in KINDS.items() if cls is kind)
