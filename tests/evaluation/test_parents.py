"""Trainings that begin with the weights of a parent."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
from set_up import set_up

from nasgan.architecture import Architecture
from nasgan.contracts import Evaluation, Proposal
from nasgan.errors import CheckpointError, ConfigError, PluginError
from nasgan.evaluation import InProcessPool, ScratchEvaluator, SharedEvaluator
from nasgan.evaluation.executors import WorkOrder, candidate
from nasgan.evaluation.executors.worker_pool import WorkerPool

PARENT, CHILD = [0, 1, 2, 0], [1, 1, 2, 0]


@pytest.fixture
def family(space):
    return space.architecture(PARENT), space.architecture(CHILD)


def scratch(run):
    return set_up(run, ScratchEvaluator(generator_steps=3, num_images=10))


def finished(task):
    while task.result is None:
        task.advance()
    return task.result


def trained_parent(run, parent):
    evaluator = scratch(run)
    task = evaluator.begin(Proposal(parent, keep=True))
    finished(task)
    return evaluator, task.trainer


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_a_child_begins_with_what_fits_and_is_itself_elsewhere(make_context, family, part):
    parent, child = family
    evaluator, trainer = trained_parent(make_context(), parent)
    of_parent = getattr(trainer, part).state_dict()
    alone = getattr(scratch(make_context()).begin(Proposal(child)).trainer, part).state_dict()
    born = evaluator.begin(Proposal(child, parent=parent)).trainer
    own = getattr(born, part).state_dict()
    fits = {k for k, v in own.items() if k in of_parent and of_parent[k].shape == v.shape}
    assert fits
    assert all(own[k].equal(of_parent[k]) for k in fits)
    assert all(own[k].equal(alone[k]) for k in own.keys() - fits)
    assert any(not own[k].equal(alone[k]) for k in fits), "they were trained"
    if part == "generator":
        assert own.keys() - fits, "the changed decision has parameters of its own"
    assert born.generator_steps == 0
    assert all(not state for state in (o.state for o in born._optimisers))


def test_the_average_begins_with_the_inherited_values(make_context, family):
    parent, child = family
    run = make_context()
    run.trainer_settings = replace(run.trainer_settings, ema_decay=0.9)
    evaluator, _ = trained_parent(run, parent)
    born = evaluator.begin(Proposal(child, parent=parent)).trainer
    average, own = born.average.module.state_dict(), born.generator.state_dict()
    assert all(average[name].equal(own[name]) for name in average)


def test_networks_are_kept_for_those_alone_who_ask_for_it(make_context, family):
    parent, child = family
    run = make_context()
    evaluator, _ = trained_parent(run, parent)
    finished(evaluator.begin(Proposal(child)))
    (path,) = run.folder.glob("*.pt")
    assert path.name.startswith(f"{parent.id}-3.")


def test_the_parent_is_recorded_and_read_back(make_context, family):
    parent, child = family
    run = make_context()
    pool = InProcessPool(scratch(run), run.ledger)
    made = [
        scored(pool, Proposal(parent, keep=True)),
        scored(pool, Proposal(child, None, None, parent)),
    ]
    assert [each.parent for each in made] == [None, parent.id]
    assert "parent" not in made[0].to_json(), "histories without parents are as before"
    assert Evaluation.from_json(made[1].to_json()) == made[1]


def scored(pool, proposal):
    pool.submit(proposal)
    while not (arrived := pool.advance()):
        pass
    return arrived[0]


@pytest.mark.parametrize("pieces", [0, 1])
def test_a_child_half_trained_resumes_to_the_bit(make_context, family, pieces, monkeypatch):
    parent, child = family
    monkeypatch.setattr("nasgan.evaluation.training_task._PIECE_SECONDS", 0.0)
    proposal = Proposal(child, parent=parent, keep=True)
    run = make_context()
    evaluator = scratch(run)
    pool = InProcessPool(evaluator, run.ledger)
    scored(pool, Proposal(parent, keep=True))
    pool.submit(proposal)
    for _ in range(pieces):
        assert pool.advance() == []
    state = deepcopy({"evaluator": evaluator.state_dict(), "pool": pool.state_dict()})
    again = scratch(run)
    again.load_state_dict(state["evaluator"])
    resumed = InProcessPool(again, run.ledger)
    resumed.load_state_dict(state["pool"])
    made = []
    for each in (pool, resumed):
        while not (arrived := each.advance()):
            pass
        made.append(replace(arrived[0], cost=None))
    assert made[0] == made[1]
    assert evaluator.state_dict() == again.state_dict(), "the names of files hold their digests"
    alone = scratch(make_context())
    assert finished(alone.begin(Proposal(child))).score != made[0].score, "the parent counts"


def test_a_worker_gets_what_is_kept_of_the_parent(make_context, family):
    parent, child = family
    run = make_context()
    here, _ = trained_parent(run, parent)
    order = {
        "proposal": Proposal(child, parent=parent).to_json(),
        "kept": here.kept(child),
        "kept_of_parent": here.kept(parent),
        "folder": None,
        "every_seconds": 0.0,
    }
    made = candidate._scored(scratch(run), run.ledger, order)
    there = Evaluation.from_json(made["evaluation"])
    assert there.parent == parent.id
    assert there.score == finished(here.begin(Proposal(child, parent=parent))).score


def test_workers_are_asked_with_what_is_kept_of_the_parent(make_context, family):
    parent, child = family
    run = make_context()
    evaluator, _ = trained_parent(run, parent)
    pool = WorkerPool(evaluator, run.ledger, supervisor=None, order=WorkOrder("no:where"))
    asked = candidate.request(evaluator, Proposal(child, parent=parent))
    assert asked["kept_of_parent"] == evaluator.kept(parent) != {}
    assert asked["kept"] == {}
    with pytest.raises(ConfigError, match="no trained weights"):
        pool.submit(Proposal(parent, parent=child))  # nobody is asked


def test_a_training_of_its_own_is_gone_on_with_rather(make_context, family):
    parent, child = family
    evaluator, _ = trained_parent(make_context(), parent)
    finished(evaluator.begin(Proposal(child, 2)))
    assert evaluator.begin(Proposal(child, 5, parent=parent)).generator_steps == 2


def test_parents_that_cannot_be_are_refused_before_anything_is_trained(make_context, space, family):
    parent, child = family
    run = make_context()
    pool = InProcessPool(scratch(run), run.ledger)
    with pytest.raises(ConfigError, match=rf"no trained weights of architecture {parent.id}"):
        pool.submit(Proposal(child, parent=parent))
    with pytest.raises(ConfigError, match="no trained weights"):
        scratch(run).expected_cost(Proposal(child, parent=parent))
    foreign = Architecture("elsewhere", 1, (("a", "b"),))
    with pytest.raises(ConfigError, match=r"Proposal\.parent: .*elsewhere"):
        pool.submit(Proposal(child, parent=foreign))
    with pytest.raises(PluginError, match=r"Proposal\.parent is 'abc' \(str\): give an"):
        pool.submit(Proposal(child, parent="abc"))
    shared = InProcessPool(set_up(run, SharedEvaluator(num_images=10, together=1)), run.ledger)
    with pytest.raises(ConfigError, match="SharedEvaluator begins no training with a parent's"):
        shared.submit(Proposal(child, parent=parent))
    assert run.ledger.spent().generator_steps == 0


def test_a_parent_whose_file_is_damaged_ends_the_search(make_context, family):
    parent, child = family
    run = make_context()
    evaluator, _ = trained_parent(run, parent)
    (path,) = run.folder.glob("*.pt")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(CheckpointError, match=path.name):
        evaluator.begin(Proposal(child, parent=parent))


def test_proposals_of_older_checkpoints_have_no_parent(family):
    old = Proposal(family[0], 3).to_json()
    del old["parent"], old["keep"]
    assert Proposal.from_json(old) == Proposal(family[0], 3)
    child = Proposal(family[1], parent=family[0], keep=True)
    assert Proposal.from_json(child.to_json()) == child
