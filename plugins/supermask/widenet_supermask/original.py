"""Configuration files of the paper's code, read as options of ``wn run supermask``.

Where a name means something else here, or a value changes on the way, a remark says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from widenet import UsageError
from widenet.options import build, nearest, options, resolve
from widenet_supermask.original_keys import (
    ARCHS,
    FAULTS,
    IGNORED,
    POLICIES,
    RENAMED,
    SCALED,
    SETS,
    UNPUBLISHED,
    VARIANTS,
    WITH_FRACTION,
    WITH_SCORES,
    Original,
)

Say = Callable[[str], None]

WHERE = "option of the original"


def read_original(text: str) -> tuple[dict[str, Any], list[str]]:
    """The options of ``wn run supermask`` in a YAML file of the paper's code, and remarks on what changed, a line each.

    Raises:
        UsageError: not YAML of one ``key: value`` a line, a key that is unknown or given twice, values that make no run.
    """
    given = _parse(text)
    keys = [*(option.name for option in options(Original)), *IGNORED]
    if unknown := sorted(given.keys() - set(keys)):
        raise UsageError(f"the original has no option {unknown[0]!r}{nearest(unknown[0], keys)}")
    values = {key: value for key, value in given.items() if key not in IGNORED}
    original: Original = build(Original, resolve(Original, values, WHERE), WHERE)
    for key, known in {"arch": ARCHS, "set": SETS, "conv_type": {"", *VARIANTS}, "first_layer_type": {"", *VARIANTS}}.items():
        if (value := getattr(original, key)) not in known:
            raise UsageError(f"{key}: the original has no {value!r}{nearest(value, known)}")
    for applies, fault in FAULTS:
        if applies(original):
            raise UsageError(fault.format(original))
    remarks = [f"{key}: ignored, {IGNORED[key]}" for key, value in given.items() if key in IGNORED and value]
    result = {ours: getattr(original, key) for key, ours in RENAMED.items()}
    for part in (_network, _training, _variant, _fraction, _dense_layers):
        result |= part(original, remarks.append)
    return {key: value for key, value in result.items() if value is not None}, remarks


def _parse(text: str) -> dict[str, Any]:
    """Key -> value, without those that are null, as if they were not there."""
    import yaml
    from yaml.constructor import SafeConstructor

    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except Exception as error:  # malformed text brings out more than YAMLError
        raise UsageError(f"no valid YAML: {_reason(error)}") from None
    if not isinstance(root, yaml.MappingNode):
        raise UsageError("no lines of the form key: value")
    found: dict[str, Any] = {}
    for key, value in root.value:
        if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
            raise UsageError(f"line {key.start_mark.line + 1} is no plain key: value")
        if key.value in found:
            raise UsageError(f"{key.value!r} is given twice")
        try:
            found[key.value] = SafeConstructor().construct_object(value)
        except Exception as error:
            raise UsageError(f"{key.value!r} has no valid value: {_reason(error)}") from None
    return {key: value for key, value in found.items() if value is not None}


def _reason(error: Exception) -> str:
    """What PyYAML says, on one line."""
    mark = getattr(error, "problem_mark", None)
    at = f"line {mark.line + 1}: " if mark else ""
    return at + " ".join(str(getattr(error, "problem", None) or error or type(error).__name__).split())


def _network(original: Original, say: Say) -> dict[str, Any]:
    arch, learned = ARCHS[original.arch], False
    if original.norms:
        learned = original.bn_type == "LearnedBatchNorm"
        arch += f":affine={learned},bias={original.last_layer_dense}".lower()  # only a dense last layer has a bias there
    elif original.width_mult != 1:
        arch += f":width={original.width_mult}"
    return {"arch": arch, "dataset": SETS[original.set], "train_norm": learned and not original.freeze_weights}


def _training(original: Original, say: Say) -> dict[str, Any]:
    result: dict[str, Any] = {"schedule": POLICIES[original.lr_policy], "warmup": original.warmup_length}
    result |= {"weight_decay": original.weight_decay, "save_every": max(original.save_every, 0)}
    if original.optimizer == "adam" and original.weight_decay:
        say("weight_decay: 0 here, as the original does not pass it to adam")
        result["weight_decay"] = 0.0
    if original.lr_policy == "multistep_lr":
        say("lr_policy: multistep_lr as it was meant, it crashes in the original; without warm-up")
        step = original.multistep_lr_adjust
        result |= {"warmup": 0, "gamma": original.multistep_lr_gamma, "milestones": list(range(step, original.epochs, step))}
        if not result["milestones"]:
            result["schedule"] = "constant"
    if original.no_bn_decay:
        say("no_bn_decay: spares the batch norm of shortcuts too, which the original forgets")
        result["norm_decay"] = False
    return result


def _variant(original: Original, say: Say) -> dict[str, Any]:
    conv = original.conv_type
    result: dict[str, Any] = {"variant": VARIANTS[conv]}
    if conv in UNPUBLISHED:
        say(f"conv_type: {conv} was never published; variant {result['variant']} is our reading of it")
    if original.pretrained:
        say(f"pretrained: {original.pretrained!r} is not read; name the run to start from with --from")
    elif conv == "FixedSubnetConv":
        say("conv_type: FixedSubnetConv without pretrained is a random mask here; the original multiplies by raw scores")
        result["variant"] = "random"
    if conv in WITH_SCORES and not original.freeze_weights:
        say("freeze_weights: it is off, so the weights are trained beside the scores")
        result["train_weights"] = True
    if conv == "SampleSubnetConv":
        result["eval_samples"] = 1  # the original evaluates under a mask that it draws
    if original.score_init_constant is not None:
        result |= {"score_init": "constant", "score_scale": original.score_init_constant}
    return result


def _fraction(original: Original, say: Say) -> dict[str, Any]:
    conv, rate, keep = original.conv_type, original.prune_rate, original.kept
    if keep is not None:
        say(f"prune_rate: {rate:g} is what {conv} {'keeps' if conv == 'SubnetConv' else 'removes'}, so keep is {keep:g}")
    elif conv in WITH_FRACTION:
        say("prune_rate: left to the command line; without --keep (or --sparsity) half of the weights are kept")
    elif original.given and rate:
        say(f"prune_rate: ignored, it means nothing for {conv}")
    scaled = original.scale_fan and conv in WITH_FRACTION and original.init in SCALED
    if original.scale_fan and not scaled:
        say(f"scale_fan: off, it means nothing for {conv if conv not in WITH_FRACTION else original.init} in the original")
    elif scaled and conv == "SubnetConv":
        say("scale_fan: counts the kept weights, not the removed ones (--compat original repeats that)")
    return {"keep": keep, "scale_fan": scaled}


def _dense_layers(original: Original, say: Say) -> dict[str, Any]:
    masked = original.conv_type != "DenseConv"
    first = masked and (original.first_layer_dense or original.first_layer_type == "DenseConv")
    last = masked and original.last_layer_dense and original.norms
    if original.last_layer_dense and not original.norms:
        say(f"last_layer_dense: off, the original ignores it for {original.arch}")
    if (first or last) and original.freeze_weights:
        say("freeze_weights: dense first and last layers train here, not there (--compat original repeats that)")
    return {"first_dense": first, "last_dense": last}
