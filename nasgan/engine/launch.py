"""Start, resume and end runs: what the command line's `search` and `train` call."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from nasgan import atomic
from nasgan.architecture import Architecture
from nasgan.contracts import Ledger, SearchSpace
from nasgan.engine.device import crowded, device_name, prepared_torch
from nasgan.engine.export import (
    average_random,
    describe_networks,
    peak_memory_bytes,
    write_networks,
    write_samples,
)
from nasgan.engine.final_phase import FINALIST, GIVEN, RANDOM, final_plan, final_space
from nasgan.engine.loop import ProgressView, RunLoop, progress_view, tell
from nasgan.engine.parts import (
    Inputs,
    SearchParts,
    TrainingParts,
    bind,
    load_inputs,
    prepare_metrics,
)
from nasgan.engine.replicas import training_replicas
from nasgan.engine.run_directory import (
    RunDirectory,
    RunIdentity,
    check_moved,
    content_of_images,
)
from nasgan.engine.search_job import SearchJob
from nasgan.engine.summary import how_far, how_it_ended, result_lines, what_runs
from nasgan.engine.training_job import TrainingJob
from nasgan.engine.trainings import SHARED_FOLDER, Trainings, shared_folder
from nasgan.engine.workers import WORKER_BUILDER
from nasgan.errors import (
    PluginFailedError,
    RunDirectoryError,
    SearchFailed,
    StorageError,
    TrainingDiverged,
)
from nasgan.evaluation.executors import WorkOrder
from nasgan.evaluation.executors.device_room import memory_of_training
from nasgan.machine import interrupted_by_sigterm
from nasgan.objects import not_installed
from nasgan.registry import ARCHITECTURES, plugins, plugins_named
from nasgan.runs.environment import collect_environment
from nasgan.runs.folder import RunLock, new_folder
from nasgan.runs.loggers import RunLogger, run_log
from nasgan.runs.record import RunRecord, hash_config
from nasgan.runs.status import utc_now
from nasgan.supervisor import Supervisor
from nasgan.training.replicas import ALONE, Replicas

__all__ = ["Outcome", "run", "run_config"]

_AnyJob: TypeAlias = "SearchJob | TrainingJob"


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: ``failed`` if it ended without a result.
        run_dir: the run's folder.
        summary_lines: for a person.
        failure: why there is no result.
    """

    status: Literal["completed", "failed", "already_completed"]
    run_dir: Path
    summary_lines: list[str]
    failure: str = ""


def run_config(config: Mapping[str, Any], run_dir: Path) -> Outcome:
    """`run`, of what a configuration asks for.

    Args:
        config: the resolved configuration of ``nasgan search`` or ``nasgan train``.
        run_dir: the run's folder.

    Raises:
        NasganError: as `run`.
    """
    return run(bind(config), run_dir)


@plugins_named(PluginFailedError)
def run(parts: SearchParts | TrainingParts, run_dir: Path) -> Outcome:
    """Search an architecture and retrain the best, or train one; resumes what was begun there.

    Args:
        parts: made for this run alone.
        run_dir: the run's folder.

    Raises:
        NasganError: bad input, before any compute; or a full disk, which a rerun resumes from.
    """
    with (
        interrupted_by_sigterm(),
        prepared_torch(parts.config, parts.device),
        new_folder(run_dir),
    ):
        return _Run(parts, run_dir).run()


class _Run:
    """One call of `run`."""

    def __init__(self, parts: SearchParts | TrainingParts, run_dir: Path) -> None:
        self.kind: Literal["search", "train"] = (
            "search" if isinstance(parts, SearchParts) else "train"
        )
        self.asked = self.parts = parts
        self.directory = RunDirectory(run_dir)
        self.supervisor: Supervisor | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        return self.parts.config

    def run(self) -> Outcome:
        lock = RunLock(self.directory.path)
        try:
            lock.acquire()
        except (StorageError, RunDirectoryError) as error:
            # Nobody can write there, or others are told of the same run.
            is_open = isinstance(error, StorageError) and not atomic.is_unwritable(error)
            record = None if is_open else self.directory.record()
            if record is None or self._is_retried(record):
                raise
            self._claim()
            return self._already(record)
        with ExitStack() as at_the_end:
            at_the_end.callback(lock.release)
            at_the_end.callback(self._dismiss_workers)
            return self._run_alone()

    def _dismiss_workers(self) -> None:
        """However the run ends, its workers do not outlive it."""
        if self.supervisor is not None:
            self.supervisor.close()

    def _run_alone(self) -> Outcome:
        """The run, while its folder is held."""
        self.directory.remove_leftovers()
        self._claim()
        record = self.directory.record()
        if record is not None and not self._is_retried(record):
            # A kill between the record and the end of the run leaves these.
            self.directory.remove_resumption()
            return self._already(record)
        if isinstance(self.parts, SearchParts):
            self.parts.executor.check_installed(self.parts.device, self.config["threads"] or 1)
        if record is not None:
            self.directory.forget()
            RunIdentity.of(self.directory.identity).forget()
            self._claim()
        with progress_view(self.config["progress"]) as view:
            if self.parts.trainer.devices == 1:
                return self._work(view, ALONE)
            with training_replicas(self.config, self.parts.device) as replicas:
                return self._work(view, replicas)

    def _claim(self) -> None:
        """Decide what the configuration leaves to the device, and make the folder this run's."""
        self.parts = self.asked.settled(self.directory.began_with())
        # The same run on whichever device of a kind, as `auto` and sweeps choose it.
        self.directory.claim({**self.config, "device": self.parts.device.type})

    def _is_retried(self, record: RunRecord) -> bool:
        return record.status == "failed" and bool(self.config["retry_failed"])

    def _already(self, record: RunRecord) -> Outcome:
        path = self.directory.path
        check_moved(record, self.config, path)
        if record.status == "failed":
            lines = [
                f"This run failed before: {record.failure}",
                "Run it again with retry_failed=true, or change its settings.",
            ]
            run_log.info("%s", lines[0])
            return Outcome("failed", path, lines, f"before, and not run again: {record.failure}")
        stands = "This run is finished already"
        asked = self.config.get("tuning_budget")
        if asked not in (None, record.tuning_budget):
            stands += f"; its record stands and does not take tuning_budget={asked!r}"
        run_log.info("%s", stands)
        lines = [f"{stands}.", *result_lines(record, self.directory)]
        return Outcome("already_completed", path, lines)

    def _work(self, view: ProgressView, replicas: Replicas) -> Outcome:
        if self.config["threads"] is not None:
            torch.set_num_threads(self.config["threads"])
        identity = RunIdentity.of(self.directory.identity)
        run_log.info("%s", what_runs(self.kind, identity.run_id, self.config["seed"]))
        if note := crowded(self.config, self.asked.config["threads"]):
            tell(view, note)
        logger = self.parts.logger
        for name, kind in not_installed(self.config).items():
            tell(view, f"{name}: {kind} is no installed plugin; the record holds its code's digest")
        splits = self.parts.load_data()
        space, given = self.parts.space_for(splits.train)
        identity.hold({**content_of_images(splits), "architecture": given.id if given else None})
        bench = load_inputs(self.parts, splits, later=True)
        # What does not go together is refused before the metrics' reference is computed.
        job = self._make_job(bench, space, given, replicas)
        if isinstance(job, SearchJob):
            identity.hold(job.content_of_tables())
        identity.hold({"features": bench.harness.extractor.fingerprint})
        _prepare(bench, view)
        loop = RunLoop(
            job, self.directory, self.parts.checkpoint, view, logger, run_id=identity.run_id
        )
        logger.start(
            {
                "run_id": identity.run_id,
                "run_dir": str(self.directory.path),
                "config": dict(self.config),
            }
        )
        with loop.status_of_failure():
            if loop.resume():
                tell(view, f"resuming from the last checkpoint in {self.directory.checkpoints}")
                run_log.info("resumed: %s", how_far(job.ledger))
            loop.write_status("running", "starting")
            failure = ""
            try:
                loop.run()
            except (TrainingDiverged, SearchFailed) as error:
                failure = str(error)
            record = self._record(bench, job, loop, identity, failure)
            self._leave_results(job, record, logger)
            state = record.status
            loop.write_status(state, record.failure or "done", progress=1.0)
            self.directory.remove_resumption()
        logger.finish(state)
        run_log.info("the run %s", how_it_ended(record))
        if record.status == "failed":
            lines = [f"The run failed: {record.failure}", f"record  {self.directory.record_file}"]
            return Outcome("failed", self.directory.path, lines, record.failure)
        return Outcome("completed", self.directory.path, result_lines(record, self.directory))

    def _make_job(
        self, bench: Inputs, space: SearchSpace, given: Architecture | None, replicas: Replicas
    ) -> _AnyJob:
        parts, config = self.parts, dict(self.config)
        run = bench.run(
            space,
            Ledger(parts.budget if isinstance(parts, SearchParts) else None),
            seed=config["seed"],
            folder=self.directory.candidates,
            replicas=replicas,
        )
        if isinstance(parts, TrainingParts):
            assert given is not None
            return TrainingJob(run, space, given, parts.plan)
        pays = parts.executor.pays_for(
            generator_steps=parts.final.generator_steps, threads=config["threads"] or 1
        )
        if pays or not parts.executor.in_process:
            spaces = (space, final_space(parts.final, space))
            memory = [memory_of_training(each, parts.trainer, bench.images) for each in spaces]
            self.supervisor = parts.executor.supervise(
                bench.device, torch.get_num_threads(), self.directory.candidates, max(memory)
            )
        order = WorkOrder(
            builder=WORKER_BUILDER,
            settings={"config": config, "folder": str(self.directory.candidates.absolute())},
            device=bench.device,
            folder=self.directory.candidates / "under_way",
            every_seconds=parts.checkpoint.every_seconds,
        )
        opened = partial(parts.executor.open, order=order, supervisor=self.supervisor)
        run.score_with(parts.evaluator, opened)
        trainings = self._trainings(parts, bench, space, self.supervisor if pays else None)
        return SearchJob(run, parts.strategy, parts.final, parts.final_evaluator, trainings)

    def _trainings(
        self,
        parts: SearchParts,
        bench: Inputs,
        space: SearchSpace,
        supervisor: Supervisor | None,
    ) -> Trainings | None:
        """Final trainings in other processes, or those that some have done; None without any."""
        final, plan = parts.final, final_plan(parts.final)
        made_by_others = Path(self.config["output_root"], SHARED_FOLDER).is_dir()
        if final.top_k == 0 or parts.final_evaluator is not None or not parts.are_named:
            return None
        shared = None
        if final.random_architectures and (supervisor is not None or made_by_others):
            wide = final_space(final, space)
            shared = shared_folder(parts, self.directory.path, bench, wide, plan)
        own = self.directory.candidates / "final"
        if supervisor is None and shared is None and not own.is_dir():
            return None
        return Trainings(
            supervisor,
            {**self.config, "logger": None},
            plan,
            own,
            shared,
            beside_the_search=parts.executor.in_process,
        )

    def _leave_results(self, job: _AnyJob, record: RunRecord, logger: RunLogger) -> None:
        """Write the results, the record last: it is what says that a run has ended."""
        final, result = job.final, job.result
        if final is not None and result is not None:
            result.save(self.directory.architecture)
            logger.artifact(self.directory.architecture)
        if final is not None and result is not None and final.networks is not None:
            write_networks(self.directory, final.networks)
            write_samples(
                self.directory,
                job.final_space,
                result,
                final.networks["generator"],
                seed=self.config["seed"],
            )
            logger.image("samples", self.directory.samples / "final.png")
        replace(record, files=self.directory.digests()).write(self.directory.record_file)

    def _record(
        self,
        bench: Inputs,
        job: _AnyJob,
        loop: RunLoop,
        identity: RunIdentity,
        failure: str,
    ) -> RunRecord:
        config = dict(self.config)
        final = job.final
        best = final.best() if final is not None else None
        result = None if failure else job.result
        random = final.results(RANDOM) if final is not None else []
        finalists = final.results(FINALIST) + final.results(GIVEN) if final is not None else []
        if result is None and not failure and final is not None:
            reasons = {str(e.breakdown or e.failure) for e in finalists}
            failure = "no final training ended well: " + "; ".join(sorted(reasons))
        broke_down = {Ledger.SEARCH: job.breakdown, Ledger.FINAL: best.breakdown if best else None}
        given, registered = config.get("architecture"), [p.name for p in plugins(ARCHITECTURES)]
        networks: dict[str, Any] = {}
        if result is not None:
            networks = describe_networks(job.final_space, result)
        bound = None
        if bench.bound is not None:
            bound = {"metrics": bench.bound, "num_images": bench.bound_images}
        return RunRecord(
            run_id=identity.run_id,
            kind=self.kind,
            status="failed" if failure else "completed",
            failure=failure,
            search_space=job.final_space.name,
            space_settings=job.final_space.settings,
            dataset=bench.images.identity,
            seed=config["seed"],
            architecture=result.to_json() if result is not None else None,
            architecture_name=given if given in registered else None,
            metrics=dict(best.metrics) if best is not None else None,
            per_class=final.per_class if final is not None and best is not None else None,
            objective=bench.objective.to_json(),
            finalists=[evaluation.to_json() for evaluation in finalists],
            average_random=average_random(random),
            breakdowns=[
                {"phase": phase, **asdict(broken)}
                for phase, broken in broke_down.items()
                if broken is not None
            ],
            bound=bound,
            bound_note=bench.bound_note,
            cost={phase: job.ledger.spent(phase).to_json() for phase in broke_down},
            budget=job.ledger.budget.to_json(),
            timers=loop.timers,
            peak_memory_bytes=peak_memory_bytes(bench.device),
            config=config,
            config_hash=hash_config(config, content=identity.content),
            content=identity.content,
            experiment=config.get("experiment"),
            environment=collect_environment(device_name(bench.device), config),
            tuning_budget=config.get("tuning_budget"),
            dataset_info={
                "checksum": bench.images.checksum,
                "num_images": len(bench.images),
            },
            started=identity.started,
            ended=utc_now(),
            **networks,
            **{"protocol": bench.harness.protocol.id, **job.about()},
        )


def _prepare(bench: Inputs, view: ProgressView) -> None:
    """Make the metrics' reference, and score the test images."""
    prepare_metrics(bench, partial(tell, view))
    metric = bench.objective.metric
    if bench.bound_note:
        tell(view, f"bound: {bench.bound_note}")
    if bench.bound is not None and metric in bench.bound:
        tell(
            view,
            f"bound: the {bench.bound_images} test images have {metric} "
            f"{bench.bound[metric]:.4g} against the training images",
        )
