"""How many workers share a GPU; on devices that only pretend."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from nasgan.contracts import TrainerSettings
from nasgan.data import ImageSet
from nasgan.errors import ConfigError
from nasgan.evaluation.executors import ProcessExecutor, RayExecutor
from nasgan.evaluation.executors.device_room import memory_of_training, trainings_on
from nasgan.supervisor import ray_tasks
from nasgan.supervisor.ray_tasks import RayTasks, check_room
from nasgan.testing import ToySpace

GIB = 2**30
CUDA = torch.device("cuda")


@pytest.fixture
def devices(monkeypatch):
    """Pretends CUDA devices of so many GiB each, and cores."""

    def pretend(*gibibytes, cores=64):
        def properties(device):
            index = torch.device(device).index or 0
            return SimpleNamespace(total_memory=gibibytes[index] * GIB)

        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(gibibytes))
        monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
        monkeypatch.setattr("nasgan.evaluation.executors.processes.usable_cores", lambda: cores)

    return pretend


def test_a_training_is_taken_to_need_by_its_widths_batches_and_images():
    space = ToySpace().with_settings(
        image_size=32, generator_channels=256, discriminator_channels=128
    )
    images = ImageSet("some", torch.zeros(10, 3, 32, 32, dtype=torch.uint8))
    needed = memory_of_training(space, TrainerSettings(), images)
    # 8 GiB of the process, and 48 maps of 128 images, 256 channels and 32x32 pixels in float32.
    assert needed == 8 * GIB + 10 * 3 * 32 * 32 + 48 * 4 * 128 * 256 * 32 * 32
    wide = memory_of_training(space, TrainerSettings(discriminator_batch_size=128), images)
    assert wide - needed == 48 * 4 * 128 * 256 * 32 * 32, "real and generated images together"


@pytest.mark.parametrize(
    ("device", "training", "fit"),
    [(16, 14, 1), (16, 40, 1), (40, 14, 2), (80, 14, 4), (139, 14, 4), (45, 14, 2), (47, 14, 3)],
)
def test_so_many_fit_as_nine_tenths_of_the_memory_hold_and_four_at_the_most(
    devices, device, training, fit
):
    devices(device)
    assert trainings_on("cuda", training * GIB) == fit
    assert trainings_on("cuda", None) == 1


def test_processes_share_each_device_evenly_and_have_a_core_each(devices):
    def slots(executor, memory=14 * GIB, threads=1):
        made = executor.places(CUDA, threads, memory)
        return made.size, [made._device(number) for number in range(made.size)]

    devices(80, 80)
    assert slots(ProcessExecutor()) == (8, ["cuda:1", "cuda:0"] * 4)
    assert slots(ProcessExecutor(devices=("cuda:0",)))[0] == 4
    assert slots(ProcessExecutor(workers=3))[0] == 3, "as the user says"
    devices(80, 40)
    assert slots(ProcessExecutor())[0] == 4, "the smaller one says how many"
    devices(80, 80, cores=5)
    assert slots(ProcessExecutor())[0] == 4
    assert slots(ProcessExecutor(), threads=4)[0] == 2, "one a device at the least"


def test_a_ray_worker_takes_a_part_of_a_gpu_by_the_same_rule(devices):
    devices(80)
    assert RayExecutor().places(CUDA, 1, 14 * GIB)._gpus == 0.25
    assert RayExecutor().places(CUDA, 1, 24 * GIB)._gpus == 0.3333
    assert RayExecutor().places(CUDA, 1, 60 * GIB)._gpus == 1.0
    assert RayExecutor(gpus=0.5).places(CUDA, 1, 14 * GIB)._gpus == 0.5
    assert RayExecutor().places(torch.device("cpu"), 2, 14 * GIB)._gpus == 0.0


@pytest.mark.parametrize(
    ("gpus", "there", "room"),
    [(0.25, 1, 4), (0.3333, 1, 3), (0.4, 2, 4), (1, 2, 2), (2, 3, 1), (0.7, 2, 2), (0.1, 1, 10)],
)
def test_a_part_of_a_gpu_is_of_one_gpu(gpus, there, room):
    assert ray_tasks._room_on({"CPU": 64, "GPU": there}, 1, gpus) == room
    assert ray_tasks._room_on({"CPU": 2, "GPU": there}, 1, gpus) == min(2, room)


def test_what_no_machine_of_a_cluster_has_is_refused_before_anything_runs(monkeypatch):
    nodes = [{"CPU": 4.0}, {"CPU": 1.0, "GPU": 1.0}]
    monkeypatch.setattr("nasgan.evaluation.executors.ray_cluster.reach", lambda address: nodes)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    at = {"address": "10.0.0.1:6379"}
    RayExecutor(**at).check_installed(torch.device("cpu"), 4)
    RayExecutor(**at, gpus=0.25).check_installed(CUDA, 4)
    with pytest.raises(ConfigError, match=r"has room for a worker of {'CPU': 2, 'GPU': 0.25}"):
        RayExecutor(**at, gpus=0.25, cpus=2).check_installed(CUDA, 1)
    with pytest.raises(ConfigError, match=r"lower executor\.cpus or executor\.gpus"):
        RayExecutor(**at).check_installed(torch.device("cpu"), 8)
    nodes.pop()
    with pytest.raises(ConfigError, match=r"worker of {'CPU': 1, 'GPU': 1.0}: they have"):
        RayExecutor(**at).check_installed(CUDA, 8)


def test_what_this_machine_has_not_is_refused_before_a_ray_of_its_own_starts(devices, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("nasgan.evaluation.executors.ray_cluster.usable_cores", lambda: 4)
    devices(24, 24)
    RayExecutor(cpus=4, gpus=2).check_installed(CUDA, 1)
    with pytest.raises(ConfigError, match=r"of {'CPU': 5, 'GPU': 2}: they have \[{'CPU': 4, 'GPU"):
        RayExecutor(cpus=5, gpus=2).check_installed(CUDA, 1)
    with pytest.raises(ConfigError, match=r"lower executor\.cpus or executor\.gpus"):
        RayExecutor(gpus=3).check_installed(CUDA, 1)
    with pytest.raises(ConfigError, match=r"worker of {'CPU': 8, 'GPU': 0.0}"):
        RayExecutor().check_installed(torch.device("cpu"), 8)


@pytest.mark.parametrize(
    ("address", "told"),
    [(None, {"include_dashboard": False, "num_cpus": 3}), ("10.0.0.1:6379", {})],
)
def test_a_ray_of_the_runs_own_has_the_cores_that_this_process_may_use(address, told, monkeypatch):
    monkeypatch.setattr(ray_tasks, "usable_cores", lambda: 3)
    asked = []
    ray = SimpleNamespace(init=lambda _, **settings: asked.append(settings))
    RayTasks(address, cpus=1, gpus=0)._connect(ray)
    (settings,) = asked
    assert {name: settings.get(name) for name in told} == told
    assert ("num_cpus" in settings) == (address is None), "a cluster's are not ours to say"


def test_the_size_of_a_cluster_counts_parts_of_gpus(monkeypatch):
    tasks = RayTasks("auto", cpus=1, gpus=0.4)
    resources = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0}]
    nodes = [{"Alive": True, "Resources": each} for each in resources]
    monkeypatch.setattr(RayTasks, "_ray", SimpleNamespace(nodes=lambda: nodes))
    assert tasks.size == 4
    with pytest.raises(ConfigError, match="no machine of the Ray cluster has room"):
        check_room(resources[1:], cpus=1, gpus=0.4)
