"""Images a second of the published input pipeline against batches dealt from the device.

Published (AutoGAN, AdversarialNAS): a DataLoader with worker processes, each image PIL -> ToTensor
-> Normalize(0.5, 0.5). Here: one indexing operation on uint8 images that lie on the device. Both
run in turn in one process; the table gives medians over the rounds. Then up to 10,000 images
are compared bit for bit. Synthetic pixels: no data are needed.

    python benchmarks/input_pipeline.py
    python benchmarks/input_pipeline.py --device cuda --batch-size 128
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from nasgan.data import ImageSet, ShuffledBatches

TARGET = 20.0
WARM_UP_BATCHES = 20


class PilImages(Dataset[tuple[Tensor, int]]):
    """The published way to one image: PIL -> ToTensor -> Normalize."""

    def __init__(self, images: Tensor) -> None:
        self._pixels = images.permute(0, 2, 3, 1).contiguous().numpy()  # as torchvision keeps them
        self._transform = transforms.Compose(
            [
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
            ]
        )

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._pixels[index])), index


def published_batches(
    images: PilImages, batch_size: int, workers: int, device: torch.device
) -> Iterator[Tensor]:
    """One epoch of the DataLoader's full batches, moved to the device."""
    loader = DataLoader(
        images, batch_size=batch_size, shuffle=True, num_workers=workers, drop_last=True
    )
    for pixels, _ in loader:
        yield pixels.to(device)


def device_batches(stream: ShuffledBatches) -> Iterator[Tensor]:
    """The stream as an endless iterator of images."""
    while True:
        yield stream.next().images


def images_per_second(batches: Iterator[Tensor], count: int, device: torch.device) -> float:
    """Rate over ``count`` batches, after a warm-up that starts the workers."""
    for _ in range(WARM_UP_BATCHES):
        next(batches)
    _wait(device)
    started = time.perf_counter()
    dealt = sum(len(next(batches)) for _ in range(count))
    _wait(device)
    return dealt / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def differing_images(stream: ShuffledBatches, published: PilImages, count: int) -> int:
    """How many of ``count`` images differ in any bit; the labels are the images' indices."""
    different = 0
    while count > 0:
        batch = stream.next()
        assert batch.labels is not None
        for pixels, index in zip(batch.images.cpu(), batch.labels.tolist(), strict=True):
            different += not torch.equal(pixels, published[index][0])
        count -= len(batch.images)
    return different


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return 0 if the target is met and all images are equal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, default=200, help="timed in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    options = parser.parse_args(arguments)
    if options.images < (WARM_UP_BATCHES + options.batches) * options.batch_size:
        parser.error("--images must hold --batches and 20 more to warm up")

    shape = (options.images, 3, options.image_size, options.image_size)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
    published = PilImages(pixels)
    image_set = ImageSet("synthetic", pixels, torch.arange(options.images))
    stream = ShuffledBatches(image_set, options.batch_size, seed=0, device=options.device)

    slow: list[float] = []
    fast: list[float] = []
    for _ in range(options.rounds):
        loader = published_batches(published, options.batch_size, options.workers, options.device)
        slow.append(images_per_second(loader, options.batches, options.device))
        fast.append(images_per_second(device_batches(stream), options.batches, options.device))
    ratio = statistics.median(fast) / statistics.median(slow)

    print(
        f"{options.images} images of {options.image_size}x{options.image_size}, batch "
        f"{options.batch_size}, {options.device}, {torch.get_num_threads()} threads, "
        f"{options.rounds} rounds of {options.batches} batches, torch {torch.__version__}\n"
    )
    print(f"{'input pipeline':<40}{'images/s':>12}{'lowest':>12}{'highest':>12}")
    for name, rates in (
        (f"PIL DataLoader, {options.workers} workers", slow),
        ("ShuffledBatches", fast),
    ):
        middle = statistics.median(rates)
        print(f"{name:<40}{middle:>12,.0f}{min(rates):>12,.0f}{max(rates):>12,.0f}")
    print(f"{'ratio':<40}{ratio:>11.1f}x   (target: {TARGET:.0f}x)\n")

    different = differing_images(stream, published, min(options.images, 10_000))
    print(f"bit-identical images: {'yes' if different == 0 else f'NO, {different} differ'}")
    return 0 if ratio >= TARGET and different == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
