"""One training in two processes is that of one process with the whole batch."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

import nasgan
from nasgan.data import ImageSet
from nasgan.engine import follower
from nasgan.engine import replicas as processes
from nasgan.errors import ConfigError, ReplicaLostError
from nasgan.machine import usable_cores
from nasgan.randomness import numpy_generator, seeded
from nasgan.runs.record import RunRecord
from nasgan.training import AdversarialTrainer, TrainerSettings
from nasgan.training.replicas import ALONE
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_search_spaces.baselines.space import BaselinesSpace

CPU = torch.device("cpu")

#: Batch norm in both networks, gradients of gradients, a loss of the whole batch, classes.
CASES = {
    "hinge": (AutoGANSpace, {}),
    "batch norm in both": (BaselinesSpace, {"r1_penalty": 0.5}),
    "each against all": (AutoGANSpace, {"loss": "relativistic_hinge", "num_classes": 3}),
    "per device": (AutoGANSpace, {"batch_norm": "per_device"}),
}


def make_trainer(case, replicas=ALONE):
    kind, given = CASES[case]
    settings = dict(given)
    classes = settings.pop("num_classes", 0)
    space = kind(
        image_size=16,
        image_channels=1,
        generator_channels=4,
        discriminator_channels=4,
        latent_dim=8,
        num_classes=classes,
        spectral_norm=kind is not BaselinesSpace,
    )
    noise = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (20, 1, 16, 16), generator=noise, dtype=torch.uint8)
    labels = torch.arange(20) % classes if classes else None
    with seeded(0):
        is_baseline = kind is BaselinesSpace
        rng = numpy_generator(0, "architecture")
        architecture = nasgan.load_architecture("dcgan") if is_baseline else space.sample(rng)
        pair = Pair(space.build_generator(architecture), space.build_discriminator(architecture))
    return AdversarialTrainer(
        pair,
        ImageSet("random", pixels, labels),
        TrainerSettings(
            n_critic=2,
            generator_batch_size=8,
            discriminator_batch_size=4,
            devices=replicas.count,
            **settings,
        ),
        latent_dim=8,
        num_classes=classes,
        seed=3,
        device=CPU,
        replicas=replicas,
    )


class Pair:
    def __init__(self, generator, discriminator):
        self.generator, self.discriminator = generator.double(), discriminator.double()


def trained(case, replicas=ALONE, steps=2):
    trainer = make_trainer(case, replicas)
    losses = [trainer.iteration() for _ in range(steps)]
    return {"state": trainer.state_dict(), "losses": losses}


def resumed(case, replicas):
    """Stopped after one step, and gone on with by another trainer."""
    state = trained(case, replicas, steps=1)["state"]
    trainer = make_trainer(case, replicas)
    trainer.load_state_dict(state)
    trainer.iteration()
    return trainer.state_dict()


def in_two(rank, folder):
    torch.set_num_threads(1)
    made = []

    class Kept(AdversarialTrainer):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            made.append(self)

    follower.AdversarialTrainer = Kept
    store = dist.FileStore(str(folder / "store"), 2)
    with processes.joined_at(rank, 2, store) as replicas:
        if rank:
            follower.follow(replicas)
            followed = {case: made[k].state_dict() for k, case in enumerate(CASES)}
            torch.save(followed, folder / "followed.pt")
            return
        led = {case: trained(case, replicas) for case in CASES}
        led["resumed"] = resumed("hinge", replicas)
        replicas.tell("end")
        torch.save(led, folder / "led.pt")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    multiprocessing.spawn(in_two, (folder,), nprocs=2)
    return [torch.load(folder / f"{name}.pt", weights_only=True) for name in ("led", "followed")]


def networks(state):
    parts = ("generator", "discriminator", "average")
    return {f"{part}.{name}": value for part in parts for name, value in state[part].items()}


@pytest.mark.parametrize("case", [case for case in CASES if case != "per device"])
def test_two_processes_are_one_with_the_whole_batch(case, two):
    """Weights, spectral norms, running statistics, the average; losses too."""
    led, alone = two[0][case], trained(case)
    torch.testing.assert_close(
        networks(led["state"]), networks(alone["state"]), rtol=1e-10, atol=1e-10
    )
    torch.testing.assert_close(led["losses"], alone["losses"], rtol=1e-10, atol=1e-10)


def test_statistics_of_each_device_are_another_training(two):
    led, alone = networks(two[0]["per device"]["state"]), networks(trained("hinge")["state"])
    apart = max(float((led[name] - value).abs().max()) for name, value in alone.items())
    assert apart > 1e-4


@pytest.mark.parametrize("case", CASES)
def test_both_hold_the_same_networks(case, two):
    led, followed = networks(two[0][case]["state"]), networks(two[1][case])
    # Running statistics of a device's own batch are its own.
    own = "running" if case == "per device" else "none"
    assert all(torch.equal(led[name], followed[name]) for name in led if own not in name)


def test_resuming_is_exact(two):
    led, resumed_state = networks(two[0]["hinge"]["state"]), networks(two[0]["resumed"])
    assert all(torch.equal(led[name], value) for name, value in resumed_state.items())


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setattr(processes, "usable_cores", lambda: 2)


CONFIG = {"threads": 1, "deterministic": True, "trainer": {"devices": 2, "compile": "off"}}


def test_a_process_that_dies_ends_the_training(monkeypatch):
    started = []
    start = processes._start
    monkeypatch.setattr(
        processes, "_start", lambda *given: started.append(start(*given)) or started[-1]
    )

    def train():
        with processes.training_replicas(CONFIG, CPU) as replicas:
            trainer = make_trainer("hinge", replicas)
            trainer.iteration()
            os.kill(started[0].pid, signal.SIGKILL)
            for _ in range(20):
                trainer.iteration()

    with pytest.raises(ReplicaLostError, match="one of its processes did"):
        train()
    assert started[0].returncode is not None


def test_those_that_started_are_ended_where_another_cannot_start(monkeypatch):
    first = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    def start(rank, *_):
        if rank == 2:
            raise OSError("no more processes")
        return first

    monkeypatch.setattr(processes, "_start", start)
    config = {**CONFIG, "trainer": {"devices": 3, "compile": "off"}}
    with pytest.raises(OSError, match="no more"), processes.training_replicas(config, CPU):
        pass
    assert first.returncode is not None


def test_more_devices_than_there_are_are_refused(cores):
    processes.check_devices(2, CPU)
    with pytest.raises(ConfigError, match=r"trainer\.devices=3: this process may use 2 cores"):
        processes.check_devices(3, CPU)


def test_batches_that_cannot_be_shared_are_refused():
    with pytest.raises(ConfigError, match="generator_batch_size=9 cannot be shared among"):
        TrainerSettings(generator_batch_size=9, devices=2)
    with pytest.raises(ConfigError, match="at least 2 for each"):
        TrainerSettings(discriminator_batch_size=2, devices=2)
    with pytest.raises(ConfigError, match="devices must be at least 1"):
        TrainerSettings(devices=0)


def test_a_search_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"trainer\.devices=2 is for nasgan train"):
        nasgan.search("+experiment=debug/tiny", "trainer.devices=2", run_dir=tmp_path / "run")
    assert not Path(tmp_path / "run").exists()


RUN = ["+experiment=debug/tiny", "trainer.n_critic=1", "training.generator_steps=2"]


def tiny_run(devices, folder):
    return nasgan.train("autogan_a", *RUN, f"trainer.devices={devices}", run_dir=folder)


@pytest.fixture(scope="module")
def run_on_two(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "usable_cores", lambda: 2)
        return tiny_run(2, tmp_path_factory.mktemp("run") / "2")


def test_a_run_on_two_devices_is_that_on_one(tmp_path, run_on_two):
    runs = [tiny_run(1, tmp_path / "1"), run_on_two]
    one, two = (run.record.metrics for run in runs)
    assert all(math.isclose(one[name], two[name], rel_tol=0.02, abs_tol=0.02) for name in one)
    first, second = ({p.name for p in run.folder.iterdir()} for run in runs)
    assert first == second
    counts = [run.record.environment["devices"] for run in runs]
    assert counts == [1, 2]


@pytest.mark.slow
@pytest.mark.skipif(usable_cores() < 2, reason="needs two cores")
def test_processes_that_torchrun_starts_make_the_same_run(tmp_path, run_on_two):
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    verb = ["-m", "nasgan", "train", "architecture=autogan_a", *RUN, f"run_dir={tmp_path / 'run'}"]
    done = subprocess.run(
        [sys.executable, "-m", *launch, *verb],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    launched = RunRecord.read(tmp_path / "run" / "record.json")
    assert launched.metrics == run_on_two.record.metrics
    assert launched.environment["devices"] == 2
    weights = [
        (folder / "checkpoints" / f"{network}.safetensors").read_bytes()
        for network in ("generator", "discriminator")
        for folder in (tmp_path / "run", run_on_two.folder)
    ]
    assert weights[0] == weights[1]
    assert weights[2] == weights[3]
    assert done.stdout.count("record ") == 1, "one of them runs it, and tells"
