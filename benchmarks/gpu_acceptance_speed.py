"""How fast trainings are on a device, and what memory they take. Stages of `gpu_acceptance`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.gpu_acceptance_checks import (
    Check,
    FailedCheckError,
    Figures,
    Settings,
    SkippedCheckError,
)
from benchmarks.gpu_acceptance_numbers import Case, pixels, stepper, trainer_of
from benchmarks.training_step import (
    LATENT_DIM,
    SEED,
    Variant,
    fault,
    graph_counts,
    networks,
)
from benchmarks.training_step import Figures as StepFigures
from benchmarks.training_step import (
    settings as trainer_settings,
)
from nasgan.engine.device import prepared_torch
from nasgan.networks.resampling import set_published_order
from nasgan.training import AdversarialTrainer, TrainerSettings

__all__ = ["peak_memory", "speed", "supernets", "timed", "wait"]

WIDTHS, SMOKE_WIDTHS = (256, 128), (16, 8)
BATCH, SMOKE_BATCH = 64, 4
_TIMED_TOGETHER = 5

# The most telling first; the last say what a larger batch and what the same bits each time cost.
VARIANTS = (
    ("off", "bf16"),
    ("reduce-overhead", "bf16"),
    ("off", "float32"),
    ("off", "tf32"),
    ("default", "bf16"),
    ("reduce-overhead", "tf32"),
    ("reduce-overhead", "float32"),
    ("default", "tf32"),
    ("default", "float32"),
)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> dict[str, int]:
    """MiB since the last reset of the statistics; nothing on a CPU."""
    if device.type != "cuda":
        return {}
    return {
        "peak_mib": torch.cuda.max_memory_allocated(device) >> 20,
        "reserved_mib": torch.cuda.max_memory_reserved(device) >> 20,
    }


def timed(step: Callable[[], object], device: torch.device, seconds: float) -> dict[str, Any]:
    """Milliseconds of a step (median of several timings), the warm-up, and the peak memory."""
    began = time.perf_counter()
    for _ in range(3):
        step()
    wait(device)
    warm_up = time.perf_counter() - began
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times: list[float] = []
    began = time.perf_counter()
    while not times or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        for _ in range(_TIMED_TOGETHER):
            step()
        wait(device)
        times.append((time.perf_counter() - start) / _TIMED_TOGETHER)
    return {"ms": 1e3 * statistics.median(times), "warm_up_s": warm_up, **peak_memory(device)}


def variant_speed(
    variant: Variant, device: torch.device, *, smoke: bool, batch: int, deterministic: bool
) -> Figures:
    """The training step of ``autogan_a`` in one variant.

    Raises:
        FailedCheckError: it did not run as what it is called.
        SkippedCheckError: the device has no bfloat16.
    """
    if variant.precision == "bf16" and not _has_bf16(device):
        raise SkippedCheckError("the device has no bfloat16")
    config = {
        "threads": None,
        "deterministic": deterministic,
        "trainer": {"compile": variant.compile},
    }
    counts = graph_counts()
    with prepared_torch(config, device):
        trainer = AdversarialTrainer(
            networks(SMOKE_WIDTHS if smoke else WIDTHS),
            pixels(100 if smoke else 10_000),
            trainer_settings(batch, variant),
            latent_dim=LATENT_DIM,
            seed=SEED,
            device=device,
        )
        figures = timed(trainer.iteration, device, 0.0 if smoke else 3.0)
        trainer.check_health()
    graphs, skipped = (new - old for new, old in zip(graph_counts(), counts, strict=True))
    figures["images_per_s"] = 1e3 * trainer.settings.n_critic * batch / figures["ms"]
    figures |= {"graphs": graphs, "skipped_graphs": skipped}
    wrong = fault(variant, StepFigures([], [], graphs, skipped, figures["warm_up_s"]), device)
    if wrong:
        raise FailedCheckError(wrong, figures)
    return figures


def _has_bf16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def speed(settings: Settings) -> Iterator[Check]:
    """The checks of the stage."""
    batch = SMOKE_BATCH if settings.smoke else BATCH
    made = [(kind, precision, batch, False) for kind, precision in VARIANTS]
    if settings.smoke:
        made = [("off", "bf16", batch, False), ("off", "float32", batch, True)]
    else:
        # What the same bits each time cost, and what a larger batch gives.
        made[2:2] = [("off", "bf16", batch, True)]
        made[4:4] = [("reduce-overhead", "bf16", 2 * batch, False)]
    for kind, precision, size, deterministic in made:
        variant = Variant(kind, precision)
        name = f"{variant.name}, batch {size}{', deterministic' if deterministic else ''}"
        run = partial(
            variant_speed,
            variant,
            torch.device(settings.device),
            smoke=settings.smoke,
            batch=size,
            deterministic=deterministic,
        )
        compiled = kind != "off"
        yield Check(name, run, needs=25 if compiled else 6, limit=120 if compiled else 40)


def supernet_speed(case: Case, device: torch.device, batch: int, seconds: float) -> Figures:
    """The training step of a supernet."""
    generator_batch = batch if case.mode == "soft" else 2 * batch
    settings = TrainerSettings(
        ema_decay=None, discriminator_batch_size=batch, generator_batch_size=generator_batch
    )
    with prepared_torch({"threads": None, "deterministic": False}, device):
        space, trainer = trainer_of(case, settings, device, images=2000)
        return timed(stepper(case, space, trainer), device, seconds)


def order_speed(device: torch.device, *, published: bool) -> Figures:
    """Compute-bound training of ``autogan_a``: convolutions rearranged, or in published order."""
    pair = networks(WIDTHS)
    set_published_order(pair, published)
    with prepared_torch({"threads": None, "deterministic": False}, device):
        trainer = AdversarialTrainer(
            pair,
            pixels(2000),
            TrainerSettings(discriminator_batch_size=256, generator_batch_size=512),
            latent_dim=LATENT_DIM,
            seed=SEED,
            device=device,
        )
        return timed(trainer.iteration, device, 3.0)


def supernets(settings: Settings) -> Iterator[Check]:
    """The checks of the stage; batches and widths as published."""
    device = torch.device(settings.device)
    if settings.smoke:
        case = Case("autogan", "path")
        yield Check(str(case), partial(supernet_speed, case, device, SMOKE_BATCH, 0.0))
        return
    wide = Case("autogan", "path", channels=WIDTHS, latent_dim=LATENT_DIM)
    made = [
        (wide, BATCH),
        (Case("adversarial_nas", "soft", channels=(160, 80), latent_dim=120), 120),
        (Case("adversarial_nas", "path", channels=WIDTHS, latent_dim=120), BATCH),
        (Case("agan", "path", channels=(64, 64), latent_dim=120), BATCH),
    ]
    for case, batch in made:
        name = f"{case.space} {case.mode}, {case.channels} channels, batch {batch}"
        yield Check(name, partial(supernet_speed, case, device, batch, 4.0), needs=7)
    for published in (False, True):
        order = "in published order" if published else "rearranged"
        run = partial(order_speed, device, published=published)
        yield Check(f"convolutions {order}, batch 256", run, needs=5)
