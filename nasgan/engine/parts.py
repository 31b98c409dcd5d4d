"""From a resolved configuration to the parts of a run, each checked before any compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nasgan.architecture import Architecture
from nasgan.contracts import (
    AskTellStrategy,
    Budget,
    Evaluator,
    Ledger,
    Objective,
    SearchSpace,
    SearchStrategy,
    narrowed,
)
from nasgan.data import ImageSet, Splits
from nasgan.data.placement import resident
from nasgan.engine.device import choose_device, device_name, settled, with_threads
from nasgan.engine.replicas import check_devices
from nasgan.errors import ConfigError, quoted
from nasgan.evaluation import Run, TrainingPlan
from nasgan.evaluation.arrival import check_name_is_free, check_objectives, search_objective
from nasgan.evaluation.executors import Executor
from nasgan.factory import load_architecture, make_search_space, settings_for
from nasgan.metrics import MetricHarness, Scores, build_harness
from nasgan.metrics.table import SIZES, MetricSettings, objective_info
from nasgan.nodes import build_node, build_settings, check_node, check_values, make_plugin
from nasgan.registry import EVALUATORS, plugins_named
from nasgan.run_settings import CheckpointSettings, FinalSettings
from nasgan.runs.loggers import NullLogger, RunLogger, SafeLogger
from nasgan.training import TrainerSettings

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Inputs",
    "Parts",
    "SearchParts",
    "TrainingParts",
    "bind",
    "bind_common",
    "find_architecture",
    "load_inputs",
    "load_splits",
    "make_evaluator",
    "make_executor",
    "make_harness",
    "make_logger",
    "make_space",
    "prepare_metrics",
]

# Beside its own arguments a dataset's node says what suits it; other nodes refer to that.
_NOT_OF_THE_LOADER = ("suggested",)
_MADE_BY_WORKERS = ("search_space", "evaluator", "dataset")
_FROM_THE_DATA = ("image_size", "image_channels")


@dataclass(frozen=True)
class _Narrowing:
    fixed: dict[str, Any] | None


@dataclass(frozen=True)
class Inputs:
    """What every kind of run needs.

    Attributes:
        device: where networks live.
        images: the training images, on the device.
        held_out: the test images, on the device, where there are some.
        harness: scores under the run's protocol.
        trainer: settings of every training.
        objective: the metric that decides.
        test: the test images of the bound; None for none.
    """

    device: torch.device
    images: ImageSet
    held_out: ImageSet | None
    harness: MetricHarness
    trainer: TrainerSettings
    objective: Objective
    test: ImageSet | None

    @cached_property
    def _of_test(self) -> tuple[Scores | None, str]:
        return _bound(self.harness, self.test, self.device)

    @property
    def bound(self) -> Scores | None:
        """Scores of the test split under the protocol, or None without one."""
        return self._of_test[0]

    @property
    def bound_images(self) -> int:
        """Number of its images."""
        return 0 if self.test is None else min(len(self.test), self.harness.num_images)

    @property
    def bound_note(self) -> str:
        """What the bound lacks and why; empty if nothing."""
        return self._of_test[1]

    def run(
        self, space: SearchSpace, ledger: Ledger, *, seed: int, folder: Path, **more: Any
    ) -> Run:
        """What evaluates architectures of ``space`` on these; see `nasgan.evaluation.Run`."""
        return Run(
            space=space,
            images=self.images,
            held_out=self.held_out,
            trainer_settings=self.trainer,
            harness=self.harness,
            objective=self.objective,
            ledger=ledger,
            seed=seed,
            device=self.device,
            folder=folder,
            **more,
        )


@dataclass(frozen=True)
class Parts:
    """What a configuration names, each made once: what the engine takes.

    Attributes:
        config: the resolved configuration, as it is recorded.
        device: where networks live.
        trainer: settings of every training.
        metrics: features and scores.
        objective: the metric that decides.
        checkpoint: when they are made.
        logger: where numbers and images go beside the run's folder.
        objects: what was given as it is, by the setting in whose place it stands.
    """

    config: Mapping[str, Any]
    device: torch.device
    trainer: TrainerSettings
    metrics: MetricSettings
    objective: Objective
    checkpoint: CheckpointSettings
    logger: RunLogger
    objects: Mapping[str, Any]

    @property
    def are_named(self) -> bool:
        """Whether another process can make what is trained and scored by the configuration."""
        return not self.objects.keys() & set(_MADE_BY_WORKERS)

    def load_data(self) -> Splits:
        """See `load_splits`."""
        return self.objects.get("dataset") or load_splits(self.config["dataset"])

    def space_for(self, images: ImageSet) -> tuple[SearchSpace, Architecture | None]:
        """The search space for ``images``, and the architecture if one is to be trained.

        Raises:
            ConfigError: they do not go together.
        """
        space = self.objects.get("search_space")
        if space is not None:
            is_conditional = self.config["conditional"]
            _check_fit(space, images, self.trainer, is_conditional=is_conditional)
        if "architecture" in self.config:
            wanted = self.objects.get("architecture", self.config["architecture"])
            return find_architecture(self.config, images, self.trainer, wanted, space)
        return space or make_space(self.config, images, self.trainer), None

    def settled(self, begun: Mapping[str, Any] | None = None) -> Self:
        """With what they leave open decided; see `settled` and `with_threads`."""
        config = with_threads(settled(self.config, self.device, begun), begun)
        decided = {name: config["trainer"][name] for name in TrainerSettings.OPEN}
        return replace(self, config=config, trainer=replace(self.trainer, **decided))


@dataclass(frozen=True)
class SearchParts(Parts):
    """Those of a search.

    Attributes:
        strategy: for one run, as the evaluator.
        evaluator: scores its candidates.
        executor: where candidates are scored and finalists trained.
        budget: what the search may spend.
        final: the phase after the search.
        final_evaluator: scores the finalists in it; None: a full training does.
    """

    strategy: SearchStrategy
    evaluator: Evaluator
    executor: Executor
    budget: Budget
    final: FinalSettings
    final_evaluator: Evaluator | None


@dataclass(frozen=True)
class TrainingParts(Parts):
    """Those of the training of one architecture.

    Attributes:
        plan: its length and scores.
    """

    plan: TrainingPlan


@plugins_named()
def bind(
    config: Mapping[str, Any], objects: Mapping[str, Any] | None = None
) -> SearchParts | TrainingParts:
    """The parts of a search, or of a training, before data are read or anything is computed.

    Args:
        config: the resolved configuration of ``nasgan search`` or ``nasgan train``.
        objects: by setting, what is taken as it is: its node in ``config`` says what it is.

    Raises:
        ConfigError: an unknown name, a wrong type or value; the message names the key.
        PluginError: a plugin that is named cannot be loaded.
    """
    given = objects or {}
    common = bind_common(config, given)
    count = common.trainer.devices
    if count > 1:
        if "strategy" in config:
            raise ConfigError(
                f"trainer.devices={count} is for nasgan train; the trainings of a search go to "
                "devices of their own: executor=processes"
            )
        check_devices(count, common.device)
    if "strategy" not in config:
        return TrainingParts(**vars(common), plan=_plan(config, given))
    strategy = _given(given, "strategy", SearchStrategy) or build_node(
        config["strategy"], where="strategy", base=SearchStrategy
    )
    evaluator = _given(given, "evaluator", Evaluator) or make_evaluator(config)
    check_objectives(strategy, search_objective(evaluator, common.objective))
    check_name_is_free(evaluator)
    budget = build_node(config["budget"], where="budget", base=Budget)
    executor = _executor(config, strategy, evaluator, given)
    final = build_settings(FinalSettings, config["final"], where="final")
    return SearchParts(
        **vars(common),
        strategy=strategy,
        evaluator=evaluator,
        executor=executor,
        budget=budget,
        final=final,
        final_evaluator=_final_evaluator(final, common),
    )


def _final_evaluator(final: FinalSettings, common: Parts) -> Evaluator | None:
    """The evaluator of ``final.evaluator``, if one is named.

    Raises:
        ConfigError: there is none of that name, or it cannot score under the run's protocol.
    """
    asked, where = final.evaluator, "final.evaluator"
    if asked is None:
        return None
    if isinstance(asked, str):
        evaluator = make_plugin(EVALUATORS, asked, Evaluator, {}, where=where)
    else:
        evaluator = build_node(asked, where=where, base=Evaluator)
        _check_images(asked.get("num_images"), common.metrics.num_images)
    assert isinstance(evaluator, Evaluator)
    if evaluator.needs_shared_weights:
        raise ConfigError(
            f"{where}: {type(evaluator).__name__} scores with shared weights, which end with the "
            "search; take final.top_k=0 for the search's own scores, or final.evaluator=scratch"
        )
    search_objective(evaluator, common.objective)
    check_name_is_free(evaluator)
    return evaluator


def _check_images(asked: object, of_protocol: int) -> None:
    if asked not in (None, of_protocol):
        raise ConfigError(
            f"final.evaluator.num_images={asked}: results are scored under the protocol, with "
            f"{of_protocol} images; leave it out or set it to null"
        )


def _plan(config: Mapping[str, Any], objects: Mapping[str, Any]) -> TrainingPlan:
    has_space = "_target_" in config["search_space"] or "search_space" in objects
    names_its_space = isinstance(config["architecture"], str) or "architecture" in objects
    if not has_space and not names_its_space:
        raise ConfigError(
            "architecture: an encoding needs the space it belongs to; add search_space=NAME"
        )
    check_values(config["training"], TrainingPlan, where="training")
    return TrainingPlan(**config["training"], phase=Ledger.FINAL, fidelity="final")


def bind_common(config: Mapping[str, Any], objects: Mapping[str, Any] | None = None) -> Parts:
    """What every kind of training has, a worker's too; see `bind`."""
    given = objects or {}
    if _given(given, "dataset", Splits) is None:
        check_node(config["dataset"], where="dataset", base=Splits, ignore=_NOT_OF_THE_LOADER)
    trainer = build_node(config["trainer"], where="trainer", base=TrainerSettings)
    metrics = build_node(config["metrics"], where="metrics", base=MetricSettings)
    objective = _objective(config, metrics)
    if objective.others and "strategy" not in config:
        raise ConfigError(f"objective={config['objective']}: a training has one objective")
    checkpoint = build_settings(CheckpointSettings, config["checkpoint"], where="checkpoint")
    own = _given(given, "logger", RunLogger)
    logger = make_logger(config) if own is None else SafeLogger(own)
    device = choose_device(config["device"])
    if _given(given, "search_space", SearchSpace) is None:
        node = config["search_space"]
        if "_target_" in node:
            supplied = [name for name in _FROM_THE_DATA if name not in node]
            check_node(
                node, where="search_space", base=SearchSpace, supplied=supplied, ignore=("fixed",)
            )
        check_values({"fixed": node.get("fixed")}, _Narrowing, where="search_space")
    return Parts(config, device, trainer, metrics, objective, checkpoint, logger, given)


def _given(objects: Mapping[str, Any], name: str, base: type) -> Any:
    """What was given for the setting ``name``."""
    given = objects.get(name)
    if given is not None and not isinstance(given, base):
        hint = "; give an instance, not the class" if isinstance(given, type) else ""
        raise ConfigError(f"{name}= takes a {base.__name__}, got {quoted(given)}{hint}")
    return given


def _check_fit(
    space: SearchSpace, images: ImageSet, trainer: TrainerSettings, *, is_conditional: bool
) -> None:
    wanted = {"image_size": images.image_size, "image_channels": images.image_channels}
    wanted["num_classes"] = images.num_classes if is_conditional else 0
    wanted["discriminator_outputs"] = trainer.make_loss().outputs
    for name, value in wanted.items():
        own = getattr(space.network, name)
        if own != value:
            raise ConfigError(
                f"search_space: the {type(space).__name__} given has {name}={own}, and for "
                f"{images.name} and trainer.loss={trainer.loss} it has to be {value}: make it with "
                f"{name}={value}"
            )


def _executor(
    config: Mapping[str, Any],
    strategy: SearchStrategy,
    evaluator: Evaluator,
    objects: Mapping[str, Any],
) -> Executor:
    executor = make_executor(config)
    # A strategy that scores nothing by the executor does not mind it.
    shares = evaluator.needs_shared_weights
    if shares and not executor.in_process and isinstance(strategy, AskTellStrategy):
        raise ConfigError(
            f"executor: {type(executor).__name__} starts workers, which cannot score with "
            f"{type(evaluator).__name__}: shared weights live in the search's own process. Use "
            "executor=in_process, or evaluator=scratch"
        )
    kept = [name for name in _MADE_BY_WORKERS if name in objects]
    if kept and not executor.in_process:
        raise ConfigError(
            f"executor: {type(executor).__name__} starts workers, which make {' and '.join(kept)} "
            "by the names in the configuration, not from objects. Use executor=in_process, or a "
            "package that registers them (nasgan new)"
        )
    return executor


def load_splits(node: Mapping[str, Any]) -> Splits:
    """The data of a dataset node.

    Raises:
        DatasetError: missing, truncated or wrong; says how to get them.
    """
    splits = build_node(node, where="dataset", base=Splits, ignore=_NOT_OF_THE_LOADER)
    assert isinstance(splits, Splits)
    return splits


def make_harness(
    settings: MetricSettings,
    train: ImageSet,
    device: torch.device,
    *,
    num_classes: int = 0,
    later: bool = False,
) -> MetricHarness:
    """The metrics against the training images.

    Args:
        settings: features and scores.
        train: the images.
        device: of the features.
        num_classes: of class-conditional generators, which are scored class by class, too.
        later: see `build_harness`.
    """
    return build_harness(
        train,
        settings.make_extractor(device),
        num_images=settings.num_images,
        metrics=settings.metrics,
        num_classes=num_classes,
        later=later,
    )


def load_inputs(
    parts: Parts, splits: Splits, *, with_bound: bool = True, later: bool = False
) -> Inputs:
    """Put the data on the device and make the metrics.

    Args:
        parts: of the run.
        splits: the data.
        with_bound: whether the test split is scored.
        later: compute nothing before it is asked for, or `MetricHarness.prepare` is called.
    """
    device = parts.device
    images = resident(splits.train, device)
    classes = images.num_classes if parts.config["conditional"] else 0
    harness = make_harness(parts.metrics, images, device, num_classes=classes, later=later)
    return Inputs(
        device=device,
        images=images,
        held_out=None if splits.test is None else resident(splits.test, device),
        harness=harness,
        trainer=parts.trainer,
        objective=parts.objective,
        test=splits.test if with_bound else None,
    )


def prepare_metrics(bench: Inputs, say: Callable[[str], object]) -> None:
    """Make the metrics' reference, if that has not been done, and tell of it."""
    images = bench.images
    say(
        f"reference: {bench.harness.extractor.name} features of {len(images)} images of "
        f"{images.identity} (made once, then cached)"
    )
    bench.harness.prepare()
    say(f"protocol {bench.harness.protocol.id}, on {device_name(bench.device)}")


def _bound(
    harness: MetricHarness, test: ImageSet | None, device: torch.device
) -> tuple[Scores | None, str]:
    """The scores of the test images, and what they lack."""
    if test is None:
        return None, ""
    note = harness.lack_of_bound(len(test))
    if note:
        return None, note
    bound = harness.bound(test.images, test.labels, checksum=test.checksum)
    lacking = [name for name in harness.metrics if name not in bound]
    if lacking:
        note = f"no {', '.join(lacking)} of the test images: not two or more of each class"
    return bound, note


def make_space(
    config: Mapping[str, Any],
    images: ImageSet,
    trainer: TrainerSettings,
    architecture: Architecture | None = None,
) -> SearchSpace:
    """The search space of a configuration for ``images``.

    Args:
        config: its ``search_space`` node has a ``_target_``, or holds settings only.
        images: give the size and the channels.
        trainer: its loss says how many outputs discriminators have.
        architecture: names the space of a node without a ``_target_``, and the settings that it
            calls for where the node does not set them, or sets null.

    Raises:
        ConfigError: a setting is impossible, or contradicts the data.
    """
    if config["conditional"] and not images.num_classes:
        raise ConfigError(
            f"conditional=true needs the classes of the images, and {images.name} has none: take a "
            "dataset with labels (digits, cifar10, an npz file with `labels`, an image folder with "
            "a folder for each class), or conditional=false"
        )
    node = dict(config["search_space"])
    data = {"image_size": images.image_size, "image_channels": images.image_channels}
    if config["conditional"]:
        data["num_classes"] = images.num_classes
    for key, value in data.items():
        if node.setdefault(key, value) != value:
            raise ConfigError(
                f"search_space.{key}={node[key]} does not fit the images of {images.name} "
                f"({key} {value}); leave it out"
            )
    outputs = trainer.make_loss().outputs
    if node.setdefault("discriminator_outputs", outputs) != outputs:
        raise ConfigError(
            f"search_space.discriminator_outputs={node['discriminator_outputs']} does not fit "
            f"trainer.loss={trainer.loss}, which takes {outputs}; leave it out"
        )
    if outputs == 1:
        del node["discriminator_outputs"]
    called_for = {} if architecture is None else settings_for(architecture)
    node.update({key: value for key, value in called_for.items() if node.get(key) is None})
    if "_target_" in node:
        space = build_node(node, where="search_space", base=SearchSpace, ignore=("fixed",))
        assert isinstance(space, SearchSpace)
        return narrowed(space, node["fixed"]) if node.get("fixed") else space
    if architecture is None:
        raise ConfigError("search_space has no _target_: a search needs a space, search_space=NAME")
    return make_search_space(architecture.space, **node)


def find_architecture(
    config: Mapping[str, Any],
    images: ImageSet,
    trainer: TrainerSettings,
    wanted: Any = None,
    space: SearchSpace | None = None,
) -> tuple[SearchSpace, Architecture]:
    """The architecture that a training is asked for, and its space.

    Args:
        config: the configuration.
        images: give the size and the channels.
        trainer: its loss says how many outputs the discriminator has.
        wanted: what the configuration's ``architecture`` is, if it is not that.
        space: the same of its ``search_space``.

    Raises:
        ConfigError: no such architecture, or the space named is another.
    """
    if wanted is None:
        wanted = config["architecture"]
    if isinstance(wanted, str):
        wanted = load_architecture(wanted)
    if space is None:
        known = wanted if isinstance(wanted, Architecture) else None
        space = make_space(config, images, trainer, known)
    return space, space.architecture(wanted)


def make_evaluator(config: Mapping[str, Any]) -> Evaluator:
    """The evaluator of a configuration, not yet set up.

    Raises:
        ConfigError: a setting is wrong.
    """
    evaluator = build_node(config["evaluator"], where="evaluator", base=Evaluator)
    assert isinstance(evaluator, Evaluator)
    return evaluator


def make_executor(config: Mapping[str, Any]) -> Executor:
    """The executor of a configuration.

    Raises:
        ConfigError: a setting is wrong, or it names a device that is not here.
    """
    executor = build_node(config["executor"], where="executor", base=Executor)
    assert isinstance(executor, Executor)
    for name in executor.named_devices:
        try:
            choose_device(name)
        except ConfigError as error:
            raise ConfigError(f"executor.devices: {error}") from error
    return executor


def make_logger(config: Mapping[str, Any]) -> RunLogger:
    """The outside logger; one that fails is switched off and never stops the run."""
    node = config.get("logger")
    if not node:
        return NullLogger()
    made: RunLogger = build_node(node, where="logger", base=RunLogger)
    return SafeLogger(made)


def _objective(config: Mapping[str, Any], metrics: MetricSettings) -> Objective:
    asked = config["objective"]
    names = [asked] if isinstance(asked, str) else list(asked)
    if not names or names[0] in SIZES:
        raise ConfigError(
            f"objective={asked}: the first must be a score of images ({', '.join(metrics.metrics)})"
            ": where one result is needed, it is the one that is best in it"
        )
    if len(set(names)) < len(names):
        raise ConfigError(f"objective={asked} names one twice")
    for name in names:
        objective_info(name)
        if name not in (*metrics.metrics, *SIZES):
            raise ConfigError(
                f"objective={name} is not among the metrics of this run "
                f"({', '.join(metrics.metrics)}); add it to metrics.metrics"
            )
    first, *others = (Objective(name, objective_info(name).direction) for name in names)
    return replace(first, others=tuple(others))
