"""``wn run import``: a finished run from weights of any origin; nothing is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from widenet.components import opt
from widenet.errors import UsageError

if TYPE_CHECKING:
    from widenet.builtin.fitting import Fitted

CHECK = {"weights": Path(__file__).with_name("check.pt")}
"""Options for ``wn check-plugin``; the file is of conv2:width=0.1 on tiny, each tensor one zero expanded to its shape."""


@attrs.frozen(kw_only=True)
class Import:
    """Options of ``import``."""

    weights: Path = opt(help="File (.pt, .pth, .th, .safetensors), or torchvision:NAME, as torchvision:IMAGENET1K_V1.")
    partial: bool = opt(
        False,
        "Permit tensors that the file lacks, which keep their fresh values, and tensors of the file that do not fit, "
        "which are kept in arrays/extra.h5.",
    )
    extra: tuple[str, ...] = opt(
        ("csg", "final_weights", "final_bias"),
        "Names, or shell patterns, of tensors that belong beside the network: kept in arrays/extra.h5.",
    )


def import_weights(run: Any, net: Any, data: Any, config: Import) -> dict[str, Any]:
    """Take the weights from a file of any origin, or those that torchvision publishes; nothing is trained.

    --arch must be the architecture that they belong to, --dataset have its shape and classes. No code from the file is run.
    """
    from widenet.builtin.fitting import fit
    from widenet.builtin.published import AUXILIARY, fetched
    from widenet.files import sha256
    from widenet.train import evaluate
    from widenet.weights import read_state

    if run.record["parents"]:
        raise UsageError("the weights come from --weights, which leaves nothing for --from to give; leave it out")
    file, url = fetched(run, str(config.weights))
    state = net.state_dict()  # with the versions of its modules, which a plain dict lacks and some of them ask for
    found = fit(read_state(file), state, (*config.extra, *(AUXILIARY if url else ())))
    if not found.taken or (found.faults and not config.partial):
        raise UsageError(found.refusal(file, run.record["arch"]["name"]))
    _tell(run, found, state, file)
    state.update(found.taken)
    net.load_state_dict(state)
    _tell_odd(run, [name for name in found.taken if not net.state_dict()[name].isfinite().all()], file)
    if kept := found.beside | found.left:
        run.save_arrays("extra", kept)
    run.record["imported"] = {"sha256": sha256(file), **({"url": url} if url else {})}
    measured = {f"test_{key}": value for key, value in evaluate(net, data.test).items()}
    return {**measured, "tensors": len(found.taken), "weights": f"of {file.name}, not trained here"}


def _tell(run: Any, found: Fitted, state: dict[str, Any], file: Path) -> None:
    """Say what was renamed, kept beside the network or does not fit; the log gets all of it, tensor by tensor."""
    from widenet.builtin.fitting import MISSING, first

    for line in found.said:
        run.say(f"{file}: renamed {line}")
    for line in found.noted:
        run.note(f"{file}: {line}")
    if found.beside:
        run.say(f"{file}: kept beside the network, in arrays/extra.h5: {first([*found.beside])}")
        run.note(_listed(f"{name} {tuple(value.shape)}" for name, value in found.beside.items()))
    for kind, lines in found.faults.items():
        then = "which keep their fresh values" if kind == MISSING else "kept in arrays/extra.h5"
        run.say(f"{file}: {len(lines)} {kind}, {then}: {first(lines)}")
        run.note(_listed(lines))
    cast = {str(v.dtype) for name, v in found.taken.items() if state[name].is_floating_point() and v.dtype != state[name].dtype}
    if cast:
        run.say(f"{file}: numbers of type {', '.join(sorted(cast))} are taken as float32")


def _tell_odd(run: Any, names: list[str], file: Path) -> None:
    from widenet.builtin.fitting import first

    if names:
        run.say(f"{file}: values that are not finite in {len(names)} tensors: {first(names)}")


def _listed(lines: Any) -> str:
    return "all of them:" + "".join(f"\n  {line}" for line in lines)
