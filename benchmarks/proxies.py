"""How well zero-cost proxies rank what was trained: Kendall's tau of each against a table's scores.

Each architecture of the table is built at its initial values, measured by every proxy of
`evaluator=zero_cost`, and held against the mean of its trained scores over seeds. Tau is above 0
where the proxy's published direction is right. Beside them stand the sizes, which are proxies, too,
the mean of all ranks, and early scores of one training, from the table.

    PYTHONPATH=.:strategies:search_spaces python benchmarks/proxies.py TABLE --images TRAIN.npz

The intervals are 95 % bootstrap intervals over architectures. `beyond size` is the partial tau with
the generator's number of parameters held fixed: what a proxy knows that size does not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau, rankdata

from benchmarks.surrogate import Held, accuracy
from nasgan.contracts import TrainerSettings
from nasgan.data import ImageSet, load_npz
from nasgan.evaluation import DerivedPair
from nasgan.evaluation.table_trainings import settings_of_space
from nasgan.evaluation.zero_cost import PROXIES, Inputs, measured
from nasgan.factory import make_search_space
from nasgan.metrics.table import metric_info
from nasgan.randomness import derive_seed
from nasgan.tabular.table import Table, load_table

__all__ = ["early_scores", "lines", "main", "measure", "proxy_values"]

_LEAST = 4
_TIED = 1e-9


def proxy_values(
    held: Held, images: ImageSet, *, batch_size: int, repeats: int, seed: int
) -> dict[str, np.ndarray]:
    """Of each architecture the mean of each proxy over ``repeats`` initial values, (A,)."""
    name, settings = settings_of_space(held.table)
    space = make_search_space(name, **settings)
    trainer = held.table.manifest["settings"]["trainer"]
    loss = TrainerSettings(loss=trainer["loss"], loss_settings=trainer["loss_settings"]).make_loss()
    rows = []
    for architecture in held.architectures:
        made = []
        for repeat in range(repeats):
            inputs = Inputs.drawn(
                images,
                latent_dim=space.network.latent_dim,
                num_classes=space.network.num_classes,
                batch_size=batch_size,
                batches=2,
                seed=derive_seed(seed, repeat),
            )
            pair = DerivedPair(
                space,
                architecture,
                seed=derive_seed(seed, repeat, architecture.id),
                initialisation=trainer["initialisation"],
            )
            made.append(list(measured(pair, inputs, loss).values()))
        rows.append(np.mean(made, axis=0))
    return dict(zip(PROXIES, np.array(rows, dtype=np.float64).T, strict=True))


def early_scores(held: Held) -> dict[str, np.ndarray]:
    """One training's score (that of the smallest seed) at each step before the last, (A,)."""
    table, metric = held.table, held.metric
    found = {}
    for step in table.steps[:-1]:
        rows = [
            table.query(each, seed=min(table.seeds_of(each)), step=step).metrics
            for each in held.architectures
        ]
        found[f"{metric} of one training at step {step}"] = np.array(
            [row.get(metric, np.nan) for row in rows]
        )
    return found


def measure(
    table: Table,
    images: ImageSet,
    *,
    metric: str = "fid",
    batch_size: int = 32,
    repeats: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything, as JSON data."""
    held = Held.of(table, metric)
    sign = -1 if metric_info(metric).direction == "min" else 1
    quality = sign * held.means
    values = proxy_values(held, images, batch_size=batch_size, repeats=repeats, seed=seed)
    turned = {
        name: value if PROXIES[name].direction == "max" else -value
        for name, value in values.items()
    }
    whole = [rankdata(value) for value in turned.values() if np.isfinite(value).all()]
    judged = {**turned, "mean rank of all": np.mean(whole, axis=0)}
    judged |= {name: sign * value for name, value in early_scores(held).items()}
    reliability = table.reliability(metric)
    dataset = table.manifest["settings"].get("dataset", {})
    return {
        "table": table.name,
        "metric": metric,
        "architectures": len(held.architectures),
        "trainings": len(table),
        "seeds_of_a_mean": held.seeds,
        "images": images.identity,
        "are_the_tables_images": images.checksum == dataset.get("checksum"),
        "batch_size": batch_size,
        "repeats": repeats,
        "ceiling": None if reliability is None else reliability.tau_ceiling(held.seeds),
        "tau": {
            name: _tau(value, quality, values["parameters_g"]) for name, value in judged.items()
        },
        "values": {name: value.tolist() for name, value in values.items()},
        "scores": {"id": [each.id for each in held.architectures], "mean": held.means.tolist()},
    }


def _tau(value: np.ndarray, quality: np.ndarray, size: np.ndarray) -> dict[str, Any]:
    """Tau and its interval, of the architectures that have a value; None where all are alike."""
    known = np.isfinite(value)
    n = int(known.sum())
    if n < _LEAST or np.ptp(value[known]) == 0:
        return {"n": n, "tau": None}
    tau, low, high = accuracy(value[known], quality[known])["tau"]
    beyond = _partial_tau(value[known], quality[known], size[known])
    return {"n": n, "tau": tau, "low": low, "high": high, "beyond_size": beyond}


def _partial_tau(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float | None:
    """Kendall's tau of ``x`` and ``y`` with ``given`` held fixed; None where that decides one."""
    between, first, second = (kendalltau(*p).statistic for p in ((x, y), (x, given), (y, given)))
    left = (1 - first**2) * (1 - second**2)
    # Where all sizes are alike, there is nothing to hold fixed, and nothing is known.
    return float((between - first * second) / left**0.5) if left > _TIED else None


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, for people; the best first."""
    yield (
        f"{found['table']}: {found['metric']} of {found['architectures']} architectures "
        f"({found['trainings']} trainings, {found['seeds_of_a_mean']:.2g} seeds a mean)"
    )
    if not found["are_the_tables_images"]:
        yield f"the images ({found['images']}) are not those that the table was trained on"
    yield f"{'':<38}{'tau (95 %)':>24}{'beyond size':>14}{'of':>6}"
    known = {name: row for name, row in found["tau"].items() if row["tau"] is not None}
    for name, row in sorted(known.items(), key=lambda item: -item[1]["tau"]):
        interval = f"{row['tau']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})"
        beyond = "" if row["beyond_size"] is None else f"{row['beyond_size']:+.2f}"
        yield f"{name:<38}{interval:>24}{beyond:>14}{row['n']:>6}"
    if found["ceiling"] is not None:
        yield f"{'ceiling by the noise':<38}{found['ceiling']:>+24.2f}"
    silent = [name for name in found["tau"] if name not in known]
    if silent:
        yield f"the same for all architectures, or without a value: {', '.join(silent)}"


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print, and write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", help="a table's file, or the folder of its rows")
    parser.add_argument("--images", type=Path, required=True, help="its training images, .npz")
    parser.add_argument("--metric", default="fid")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=1, help="initial values of an architecture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(words)
    table = load_table(given.table)
    _, network = settings_of_space(table)
    images = load_npz(
        given.images,
        image_size=network["image_size"],
        image_channels=network["image_channels"],
    ).train
    found = measure(
        table,
        images,
        metric=given.metric,
        batch_size=given.batch_size,
        repeats=given.repeats,
        seed=given.seed,
    )
    print("\n".join(lines(found)))
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
