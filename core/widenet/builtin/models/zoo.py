"""Any of torchvision's networks for classification, untrained."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torchvision
from torch import nn

from widenet.errors import UsageError, WnError
from widenet.options import nearest


def torchvision_net(name: str, shape: Sequence[int], classes: int) -> nn.Module:
    """Build torchvision's network ``name``, mapping ``(n, *shape)`` images to ``(n, classes)`` logits.

    GoogLeNet and Inception have no auxiliary classifiers, and take colour images normalised as for all the others, as the
    published ones do. For other than three channels the first convolution is a new one, drawn as PyTorch draws them.

    Raises:
        UsageError: torchvision has no such network, or it does not take images of that size.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UsageError(f"torchvision has no network {name!r} for classification{nearest(name, known) or _all(known)}")
    try:
        net: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes, **_options(name, shape))
    except (ValueError, AssertionError) as error:  # the transformers are made for one size
        raise _refused(name, shape, error) from None
    if shape[0] != 3:
        _restem(net, shape[0])
    if isinstance(net, torchvision.models.MNASNet):
        # Its own loading refuses a state dict that does not say its version, as plain dicts do not.
        net._load_from_state_dict = partial(nn.Module._load_from_state_dict, net)
    _check_size(net, name, shape)
    return net


def _all(known: Sequence[str]) -> str:
    return f"; it has {', '.join(known)}"


def _options(name: str, shape: Sequence[int]) -> dict[str, Any]:
    """What the network's function must be told beside the classes."""
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True, "transform_input": shape[0] == 3}
    if name.startswith("vit_"):
        return {"image_size": shape[1]}
    return {"input_size": tuple(shape[1:])} if name.startswith("maxvit") else {}


def _restem(net: nn.Module, channels: int) -> None:
    """Put a convolution of other input channels in place of the first."""
    path, old = next((path, module) for path, module in net.named_modules() if isinstance(module, nn.Conv2d))
    sizes: dict[str, Any] = {key: getattr(old, key) for key in ("kernel_size", "stride", "padding")}
    new = nn.Conv2d(channels, old.out_channels, **sizes, bias=old.bias is not None)
    parent, _, own = path.rpartition(".")
    setattr(net.get_submodule(parent), own, new)


@torch.no_grad()
def _check_size(net: nn.Module, name: str, shape: Sequence[int]) -> None:
    """Refuse images that the network fails on; found out without computing anything.

    Raises:
        UsageError: it fails.
    """
    tensors = [*net.named_parameters(), *net.named_buffers()]
    shapes = {path: value.to("meta") for path, value in tensors}
    try:
        torch.func.functional_call(net.eval(), shapes, torch.empty(2, *shape, device="meta"))
    except WnError:  # a signal to stop
        raise
    except Exception as error:  # what a layer raises of an image that has shrunk to nothing
        raise _refused(name, shape, error) from None
    finally:
        net.train()


def _refused(name: str, shape: Sequence[int], error: Exception) -> UsageError:
    reason = " ".join(str(error).split())[:150]
    height, width = shape[1:]
    return UsageError(
        f"torchvision's {name} does not take images of {height}x{width} ({reason}); all of its networks take 224x224, "
        "resnet18 and most others smaller ones too"
    )
