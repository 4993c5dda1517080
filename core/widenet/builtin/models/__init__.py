"""Core's networks, declared without importing torch; the modules beside this one build them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from attrs.validators import and_, deep_iterable, ge, gt, le

from widenet.components import Model, opt
from widenet.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

CONV_DEPTHS = (2, 4, 6, 8)
CONV_CHANNELS = (64, 64, 128, 128, 256, 256, 512, 512)
CONV_HIDDEN = (256, 256)
THIN_BLOCKS = {20: 3, 32: 5, 44: 7, 56: 9}
THIN_CHANNELS = (16, 32, 64)
CRESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
IMAGENET = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2"),
)


@attrs.frozen(kw_only=True)
class ConvOptions:
    """Options of conv2, conv4, conv6 and conv8."""

    width: float = opt(1.0, "Factor on the channels and the hidden classifier widths.", validator=and_(gt(0), le(100)))
    bias: bool = opt(False, "Give convolutions and linear layers a bias.")


@attrs.frozen(kw_only=True)
class FcOptions:
    """Options of fc."""

    hidden: tuple[int, ...] = opt((300, 100), "Units of each hidden layer.", validator=deep_iterable(ge(1)))
    bias: bool = opt(False, "Give the layers a bias.")


@attrs.frozen(kw_only=True)
class ThinResNetOptions:
    """Options of resnet20, resnet32, resnet44 and resnet56."""

    width: float = opt(1.0, "Factor on the channels.", validator=and_(gt(0), le(100)))


@attrs.frozen(kw_only=True)
class ResNetOptions:
    """Options of the other residual networks."""

    affine: bool = opt(True, "Learn a scale and a shift in batch normalisation.")
    bias: bool = opt(True, "Give the classifier a bias.")


@attrs.frozen(kw_only=True)
class TorchvisionOptions:
    """Options of torchvision."""

    name: str = opt("resnet18", "Any of torchvision's networks for classification, by its name there.")


def models() -> Iterator[Model]:
    """Yield every network of core."""
    for depth in CONV_DEPTHS:
        yield _conv(depth)
    yield Model("fc", _fc, FcOptions)
    for depth in THIN_BLOCKS:
        yield _thin_resnet(depth)
    for depth in CRESNET_BLOCKS:
        yield _cresnet(depth)
    for name in IMAGENET:
        yield _imagenet(name)
    yield _torchvision()


def _conv(depth: int) -> Model:
    def build(shape: Sequence[int], classes: int, config: ConvOptions) -> nn.Module:
        from widenet.builtin.models.conv import conv_net

        channels = _scaled(CONV_CHANNELS[:depth], config.width)
        return conv_net(shape, classes, channels, _scaled(CONV_HIDDEN, config.width), bias=config.bias)

    summary = f"{depth} convolutions, pooled after each pair, then 3 linear layers (Ramanujan et al. 2020)."
    return _for_images(f"conv{depth}", summary, build, ConvOptions, smallest=_smallest(depth))


def _fc(shape: Sequence[int], classes: int, config: FcOptions) -> nn.Module:
    """Linear layers with ReLUs between, for inputs of any shape (300 and 100 units: LeCun et al. 1998)."""
    from widenet.builtin.models.fc import fc_net

    return fc_net(shape, classes, config.hidden, bias=config.bias)


def _thin_resnet(depth: int) -> Model:
    def build(shape: Sequence[int], classes: int, config: ThinResNetOptions) -> nn.Module:
        from widenet.builtin.models.cifar_resnet import thin_resnet

        return thin_resnet(shape[0], classes, _scaled(THIN_CHANNELS, config.width), THIN_BLOCKS[depth])

    summary = f"CIFAR ResNet of {depth} layers, shortcuts without parameters (He et al. 2016, section 4.2, option A)."
    return _for_images(f"resnet{depth}", summary, build, ThinResNetOptions)


def _cresnet(depth: int) -> Model:
    def build(shape: Sequence[int], classes: int, config: ResNetOptions) -> nn.Module:
        from widenet.builtin.models.cifar_resnet import Basic, Bottleneck, cresnet

        block = Basic if depth < 50 else Bottleneck
        return cresnet(shape[0], classes, CRESNET_BLOCKS[depth], block, affine=config.affine, bias=config.bias)

    summary = f"ResNet-{depth} with ImageNet's widths and a stem for small images (Ramanujan et al. 2020)."
    return _for_images(f"cresnet{depth}", summary, build, ResNetOptions)


def _imagenet(name: str) -> Model:
    def build(shape: Sequence[int], classes: int, config: ResNetOptions) -> nn.Module:
        from widenet.builtin.models.imagenet import imagenet_resnet

        return imagenet_resnet(name, shape[0], classes, affine=config.affine, bias=config.bias)

    return _for_images(name, f"ImageNet network {name} of torchvision, untrained.", build, ResNetOptions)


def _torchvision() -> Model:
    def build(shape: Sequence[int], classes: int, config: TorchvisionOptions) -> nn.Module:
        from widenet.builtin.models.zoo import torchvision_net

        return torchvision_net(config.name, shape, classes)

    summary = "Any network for classification of torchvision, untrained, as in torchvision:name=densenet121."
    return _for_images("torchvision", summary, build, TorchvisionOptions)


def _for_images(
    name: str, summary: str, build: Callable[[Sequence[int], int, Any], nn.Module], options: type, smallest: int = 1
) -> Model:
    """Make a model component that refuses inputs which are not images of at least ``smallest`` a side."""

    def function(shape: Sequence[int], classes: int, config: Any) -> nn.Module:
        _check_image(name, shape, smallest)
        return build(shape, classes, config)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = summary
    return Model(name, function, options)


def _check_image(name: str, shape: Sequence[int], smallest: int) -> None:
    """Raise :class:`UsageError` unless ``shape`` is (channels, height, width) with sides of at least ``smallest``."""
    if len(shape) != 3:
        raise UsageError(
            f"{name} needs images (channels, height, width) of at least {smallest}x{smallest}, "
            f"this data set has inputs of shape {tuple(shape)}: choose fc, which takes any shape"
        )
    _, height, width = shape
    if min(height, width) < smallest:
        fitting = [depth for depth in CONV_DEPTHS if _smallest(depth) <= min(height, width)]
        other = f"conv{fitting[-1]} (fits {height}x{width})" if fitting else "fc (takes any shape)"
        raise UsageError(
            f"{name} needs images of at least {smallest}x{smallest}, this data set has {height}x{width}: "
            f"choose {other} or larger images"
        )


def _smallest(depth: int) -> int:
    """Return the smallest side that conv2 to conv8 can halve after every pair of convolutions."""
    return 2 ** (depth // 2)


def _scaled(sizes: Sequence[int], width: float) -> tuple[int, ...]:
    """Multiply layer sizes by ``width``, truncating as Ramanujan et al. do, to at least 1."""
    return tuple(max(1, int(size * width)) for size in sizes)
