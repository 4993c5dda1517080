"""ImageNet's residual networks, as torchvision builds them, untrained."""

from __future__ import annotations

from torch import nn


def imagenet_resnet(name: str, channels: int, classes: int, *, affine: bool, bias: bool) -> nn.Module:
    """Build torchvision's network ``name``, mapping ``(n, channels, h, w)`` to ``(n, classes)`` logits.

    Without ``affine`` batch normalisation has no parameters; without ``bias`` the classifier ``fc`` has only weights.
    A stem for other than three channels is initialised as torchvision does its own.
    """
    from torchvision.models import get_model

    net: nn.Module = get_model(name, weights=None, num_classes=classes)
    if channels != 3:
        net.conv1 = _stem(channels)
    if not affine:
        _remove_affine(net)
    if not bias:
        net.get_submodule("fc").register_parameter("bias", None)
    return net


def _stem(channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _remove_affine(net: nn.Module) -> None:
    # torchvision fills the scale of every BatchNorm2d while it builds, so a norm_layer without one makes it fail
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.affine = False
            module.register_parameter("weight", None)
            module.register_parameter("bias", None)
