"""Small networks with convolutions for 8 × 8 images, and their training."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

Images = tuple[torch.Tensor, torch.Tensor]


def _convolution(
    before: int, after: int, size: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
    ]


def vgg(classes: int = 10) -> nn.Sequential:
    """Six convolutions with batch norm in three stages, and two dense layers.

    The shape of Simonyan, Zisserman, arXiv:1409.1556, with batch norm.
    """
    modules: list[nn.Module] = []
    before = 1
    for width in (16, 32, 64):
        for _ in range(2):
            modules += [*_convolution(before, width), nn.ReLU()]
            before = width
        modules.append(nn.MaxPool2d(2))
    modules += [nn.Flatten(), nn.Linear(before, 64), nn.ReLU(), nn.Linear(64, classes)]
    return nn.Sequential(*modules)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(before, after, stride=stride), nn.ReLU(), *_convolution(after, after)
        )
        changes = stride != 1 or before != after
        self.shortcut: nn.Module = (
            nn.Sequential(*_convolution(before, after, 1, stride)) if changes else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(self.body(x) + self.shortcut(x))


def resnet(classes: int = 10, width: int = 8) -> nn.Sequential:
    """ResNet-18 of a given width (64 where it was published: He et al., arXiv:1512.03385)."""
    modules: list[nn.Module] = [*_convolution(1, width), nn.ReLU()]
    before = width
    for stage in range(4):
        after = width * 2**stage
        for block in range(2):
            stride = 2 if stage and not block else 1
            modules.append(_Residual(before, after, stride))
            before = after
    modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes)]
    return nn.Sequential(*modules)


class _Inverted(nn.Module):
    """Expand, one kernel per channel, project; with a shortcut where shapes allow."""

    def __init__(self, before: int, after: int, stride: int, expand: int = 4) -> None:
        super().__init__()
        inner = before * expand
        self.body = nn.Sequential(
            *_convolution(before, inner, 1),
            nn.ReLU6(),
            *_convolution(inner, inner, 3, stride, groups=inner),
            nn.ReLU6(),
            *_convolution(inner, after, 1),
        )
        self.adds = stride == 1 and before == after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.body(x)
        return x + y if self.adds else y


def mobilenet(classes: int = 10) -> nn.Sequential:
    """Inverted residuals as in MobileNetV2 (Sandler et al., arXiv:1801.04381), five of them."""
    modules: list[nn.Module] = [*_convolution(1, 16), nn.ReLU6()]
    before = 16
    for after, stride in ((16, 1), (24, 2), (24, 1), (32, 2), (32, 1)):
        modules.append(_Inverted(before, after, stride))
        before = after
    modules += [*_convolution(before, 64, 1), nn.ReLU6()]
    modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes)]
    return nn.Sequential(*modules)


#: By the name in tables.
MODELS: OrderedDict[str, Callable[[], nn.Sequential]] = OrderedDict(
    VGG=vgg, ResNet=resnet, MobileNet=mobilenet
)


def train(name: str, images: Images, seed: int = 0, epochs: int = 15) -> nn.Sequential:
    """A freshly trained network, in evaluation mode.

    Parameters
    ----------
    name : str
        One of ``MODELS``.
    images : (inputs of shape (samples, 1, 8, 8), class numbers)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[name]()
        x, y = images
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
        batch = 64
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 5e-3, total_steps=epochs * -(-len(x) // batch)
        )
        model.train()
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(len(x)), batch):
                loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: Any, images: Images) -> float:
    """Share of images whose class has the largest output."""
    x, y = images
    return float((model(x).argmax(1) == y).double().mean())


@torch.no_grad()
def reestimate(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """The same model with the means and variances of its batch norms taken anew, over x."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all that is seen
    model.train()
    model(x)
    return model.eval()


def images_of(digits: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]) -> Images:
    """Rows of 64 pixels as images of 8 × 8 with one channel, in float32."""
    pixels, classes = digits
    x = torch.from_numpy(np.asarray(pixels, dtype=np.float32)).reshape(-1, 1, 8, 8)
    return x, torch.from_numpy(np.asarray(classes))
