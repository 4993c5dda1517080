"""The training path against a stock PyTorch loop, and what the loop itself costs beside its steps.

    python benchmarks/train.py [--threads N] [--rounds N]

Stock: a torchvision-style data set of PIL images and transforms through DataLoader, eager NCHW, SGD without ``fused``. Each
loop has a process of its own, since the memory allocator is tuned for a whole process; processes alternate, medians. The loop's
own cost is measured in one process, interleaved, against the bare steps over the same batches.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timing import interleaved, machine

from widenet.builtin.models import models
from widenet.components import Train
from widenet.data import Data, Images
from widenet.runs import Run
from widenet.train import fit
from widenet.train.optimisers import make_optimiser
from widenet.train.process import tune_process

# Per task: network, image shape (height, width, channels), images an epoch, augmentation.
TASKS: dict[str, tuple[str, tuple[int, int, int], int, bool]] = {
    "cifar": ("conv4", (32, 32, 3), 1024, True),
    "mnist": ("fc", (28, 28, 1), 20_000, False),
}
LOOPS = ("stock", "ours", "ours-amp")
BATCH = 128


def network(name: str, shape: tuple[int, int, int]) -> torch.nn.Module:
    """A fresh network for images of a shape (height, width, channels)."""
    model = next(model for model in models() if model.name == name)
    return model.function((shape[2], *shape[:2]), 10, model.config())


def pixels(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Random images, uint8 (N, H, W, C), and labels."""
    _, shape, count, _ = TASKS[task]
    generator = np.random.default_rng(0)
    return generator.integers(256, size=(count, *shape), dtype=np.uint8), generator.integers(10, size=count)


def stock_epoch(task: str) -> Any:
    """The loop of a tutorial."""
    from PIL import Image
    from torchvision import transforms

    name, shape, _, augment = TASKS[task]
    x, y = pixels(task)
    crop = [transforms.RandomCrop(shape[0], padding=4), transforms.RandomHorizontalFlip()] if augment else []
    channels = shape[2]
    transform = transforms.Compose([*crop, transforms.ToTensor(), transforms.Normalize((0.5,) * channels, (0.25,) * channels)])

    class Pictures(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, index: int) -> Any:
            return transform(Image.fromarray(x[index].squeeze())), int(y[index])

    loader = torch.utils.data.DataLoader(Pictures(), batch_size=BATCH, shuffle=True)
    net = network(name, shape)
    steps = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def epoch() -> None:
        net.train()
        total, correct = 0.0, 0
        for inputs, labels in loader:
            steps.zero_grad()
            logits = net(inputs)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            steps.step()
            total += loss.item()
            correct += (logits.argmax(1) == labels).sum().item()

    return epoch


def our_data(task: str) -> Data:
    """The same images as the core holds them; a test split too small to matter."""
    _, shape, _, augment = TASKS[task]
    x, y = (torch.from_numpy(part) for part in pixels(task))
    half = {"mean": (0.5,) * shape[2], "std": (0.25,) * shape[2]}
    train = Images(x.movedim(3, 1), y, **half, pad=4 if augment else 0, flip=augment)
    return Data(task, train, Images(x[:16].movedim(3, 1), y[:16], **half), (shape[2], *shape[:2]), 10)


def our_epochs(task: str, amp: bool, epochs: int, folder: Path) -> Any:
    """``fit``, as a method uses it."""
    name, shape, _, _ = TASKS[task]
    config = Train(epochs=epochs, batch_size=BATCH, lr=0.01, amp=amp, schedule="constant")
    return fit(Run(folder, {"seed": 0}), network(name, shape), our_data(task), config)


def child(task: str, loop: str, threads: int) -> None:
    """Print seconds for one epoch, after a warm-up epoch."""
    torch.set_num_threads(threads)
    if loop == "stock":
        run = stock_epoch(task)
    else:
        tune_process(threads)
        epochs = our_epochs(task, loop == "ours-amp", 2, Path(tempfile.mkdtemp()))

        def run() -> None:
            next(epochs)

    run()
    start = time.perf_counter()
    run()
    print(time.perf_counter() - start)


def against_stock(task: str, threads: int, rounds: int) -> None:
    """One row: how many times faster than the stock loop."""
    times: dict[str, list[float]] = {loop: [] for loop in LOOPS}
    for _ in range(rounds):
        for loop in LOOPS:
            words = [sys.executable, __file__, "--child", task, loop, str(threads)]
            times[loop].append(float(subprocess.run(words, capture_output=True, text=True, check=True).stdout))
    stock, ours, amp = (statistics.median(times[loop]) for loop in LOOPS)
    rate = TASKS[task][2] / stock
    print(f"| {task} {TASKS[task][0]} | {threads} | {rate:,.0f} | {stock / ours:.2f} | {stock / amp:.2f} |", flush=True)


def own_cost(task: str, threads: int, rounds: int) -> None:
    """One row: an epoch of ``fit`` (logging, evaluation of 16 images and checkpoint included) over its bare steps."""
    tune_process(threads)
    name, shape, count, _ = TASKS[task]
    data = our_data(task)
    net = network(name, shape).to(memory_format=torch.channels_last).train()
    steps = make_optimiser(net, Train(lr=0.01))
    with tempfile.TemporaryDirectory() as folder:
        epochs = our_epochs(task, False, 10_000, Path(folder))
        run = Run(Path(folder), {"seed": 0})

        def bare() -> None:
            for x, y in data.train.batches(BATCH, run.generator("order")):
                F.cross_entropy(net(x), y).backward()
                steps.step()
                steps.zero_grad()

        times = interleaved({"bare": bare, "fit": lambda: next(epochs)}, rounds=rounds)
    step = times["bare"] / -(-count // BATCH)
    print(f"| {task} {name} | {threads} | {1000 * step:.2f} | {times['fit'] / times['bare']:.3f} |", flush=True)


def main() -> None:
    """Print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--child", nargs=3, metavar=("TASK", "LOOP", "THREADS"))
    given = arguments.parse_args()
    if given.child:
        task, loop, threads = given.child
        child(task, loop, int(threads))
        return
    print(machine())
    print("\nImages a second of the stock loop, and how many times faster `fit` is:\n")
    print("| task | threads | stock | float32 | --amp |\n|---|---|---|---|---|")
    for task in TASKS:
        for threads in given.threads:
            against_stock(task, threads, given.rounds)
    print("\nMilliseconds of a bare step, and an epoch of `fit` over an epoch of bare steps:\n")
    print("| task | threads | step | fit / bare |\n|---|---|---|---|")
    for task in TASKS:
        for threads in given.threads:
            own_cost(task, threads, max(given.rounds, 7))


if __name__ == "__main__":
    main()
