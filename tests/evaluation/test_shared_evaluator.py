"""Scores with shared weights leave no trace in the supernet."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from set_up import changed, set_up
from torch import nn

from nasgan.contracts import Budget, Ledger, Proposal, inherit_weights
from nasgan.data import ImageSet
from nasgan.errors import BudgetExhausted, ConfigError, TrainingDiverged
from nasgan.evaluation import SharedEvaluator
from nasgan.evaluation.sampling import evaluation_mode, image_sampler
from nasgan.metrics import to_uint8
from nasgan.networks import passes
from nasgan.randomness import numpy_generator, torch_generator
from nasgan_search_spaces.autogan.space import AutoGANSpace

CPU = torch.device("cpu")


@pytest.fixture
def autogan():
    """A space whose cells have batch norms."""
    return AutoGANSpace(
        image_size=16,
        image_channels=1,
        generator_channels=4,
        discriminator_channels=4,
        latent_dim=4,
    )


@pytest.fixture
def context(make_context, autogan):
    pixels = torch.randint(256, (20, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    made = make_context(space=autogan, images=ImageSet("noise", pixels.to(torch.uint8)))
    rng = numpy_generator(0, "paths")
    made.shared_weights.train(lambda: autogan.sample(rng), generator_steps=2)
    return made


@pytest.fixture
def architecture(autogan):
    rng = numpy_generator(1, "candidates")
    drawn = (autogan.sample(rng) for _ in range(100))
    return next(a for a in drawn if a["cell2.norm"] == "batch")


def scored(evaluator, proposals):
    task = evaluator.begin(*proposals)
    task.advance()
    return task.results


def score(evaluator, architecture):
    return scored(evaluator, [Proposal(architecture)])[0]


def snapshot(network):
    modes = [module.training for module in network.modules()]
    tracked = [getattr(module, "track_running_stats", None) for module in network.modules()]
    return modes, tracked, copy.deepcopy(network.state_dict())


@pytest.mark.parametrize("batch_norm", ["running", "batch"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_supernet_is_left_untouched(context, architecture, assert_same, batch_norm, mode):
    generator = context.shared_weights.supernet.generator
    getattr(generator, mode)()
    before = snapshot(generator)
    evaluator = set_up(context, SharedEvaluator(num_images=20, batch_norm=batch_norm))
    evaluation = score(evaluator, architecture)
    assert evaluation.fidelity == "shared"
    assert_same(snapshot(generator), before)


def derived(context, architecture):
    network = context.space.build_generator(architecture)
    inherit_weights(network, context.shared_weights.supernet.generator)
    return network


def latents(count):
    return torch.randn((count, 4), generator=torch_generator(0, "evaluation latents"))


def test_running_statistics_score_what_the_derived_network_generates(context, architecture):
    score(set_up(context, SharedEvaluator(num_images=8)), architecture)
    with torch.no_grad():
        expected = to_uint8(derived(context, architecture).eval()(latents(8)))
    found = context.harness.drawn[-1]
    assert (found.int() - expected.int()).abs().max() <= 1


def test_batch_statistics_are_those_of_the_batch(context, architecture):
    score(set_up(context, SharedEvaluator(num_images=8, batch_norm="batch")), architecture)
    with torch.no_grad():
        network = derived(context, architecture)
        expected = to_uint8(network.train()(latents(8)))
        running = to_uint8(network.eval()(latents(8)))
    found = context.harness.drawn[-1]
    assert (found.int() - expected.int()).abs().max() <= 1
    assert not torch.equal(found, running)


def test_a_score_is_charged_and_repeats_exactly(context, architecture):
    before = context.ledger.spent()
    evaluator = set_up(context, SharedEvaluator(num_images=20))
    task = evaluator.begin(Proposal(architecture))
    assert task.results is None
    task.advance()
    spent = context.ledger.spent()
    assert spent.architectures == before.architectures + 1
    assert spent.images == before.images + 20
    assert spent.generator_steps == before.generator_steps
    (result,) = task.results
    assert result.score == result.metrics["fid"] == score(evaluator, architecture).score
    assert torch.equal(*context.harness.drawn[-2:])


@pytest.mark.parametrize("limit", [Budget(architectures=1), Budget(images=3)])
def test_no_score_beyond_the_budget(make_context, space, limit):
    context = changed(make_context(), ledger=Ledger(limit))
    evaluator = set_up(context, SharedEvaluator(num_images=4))
    score(evaluator, space.architecture([0, 0, 0, 0]))
    with pytest.raises(BudgetExhausted):
        score(evaluator, space.architecture([0, 0, 0, 0]))
    assert len(context.harness.drawn) == 1


def test_a_path_that_is_not_finite_is_a_failed_evaluation(make_context, space):
    context = make_context()
    generator = context.shared_weights.supernet.generator
    with torch.no_grad():
        generator.layers["layer1"]["pointwise"].weight.fill_(torch.nan)
    evaluator = set_up(context, SharedEvaluator(num_images=4))
    broken = score(evaluator, space.architecture(["pointwise", 0, 0, 0]))
    assert (broken.score, broken.metrics) == (None, {})
    assert broken.failure == "the generated images are not finite"
    assert context.ledger.spent().architectures == 1
    assert all(module.training for module in generator.modules())
    assert score(evaluator, space.architecture(["convolution", 0, 0, 0])).score is not None


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"num_images": 1}, "num_images"),
        ({"batch_norm": "both"}, "batch_norm"),
        ({"together": 0}, "together"),
        ({"metrics": "fid"}, "metrics must be objective or all"),
        ({"latents": "new"}, "latents must be same or fresh"),
        ({"small_images": "bytes"}, "small_images must be enlarged or as_generated"),
    ],
)
def test_impossible_settings_are_refused(make_context, settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        set_up(make_context(), SharedEvaluator(**settings))


def test_a_length_of_training_makes_no_sense_here(make_context, space):
    with pytest.raises(ConfigError, match="needs evaluator=scratch"):
        set_up(make_context(), SharedEvaluator()).begin(Proposal(space.architecture([0] * 4), 5))


def test_all_candidates_of_a_seed_see_the_same_latents_and_classes():
    def draw(seed, sizes, classes=5):
        seen = []

        def generate(z, labels):
            seen.append((z, labels))
            return torch.zeros(len(z), 1, 2, 2)

        sample = image_sampler(generate, latent_dim=3, num_classes=classes, seed=seed, device=CPU)
        drawn = [sample(size) for size in sizes]
        assert all(part.images.dtype == torch.uint8 for part in drawn)
        for part, (_, labels) in zip(drawn, seen, strict=True):
            assert part.labels is labels
        return seen

    torch.manual_seed(0)
    first = draw(0, [4, 2])
    torch.manual_seed(1)
    for (z, labels), (other_z, other_labels) in zip(first, draw(0, [4, 2]), strict=True):
        assert torch.equal(z, other_z)
        assert torch.equal(labels, other_labels)
    assert torch.cat([labels for _, labels in first]).tolist() == [0, 1, 2, 3, 4, 0]
    assert not torch.equal(first[0][0], draw(1, [4, 2])[0][0])
    assert draw(0, [4], classes=0)[0][1] is None


def test_evaluation_mode_puts_everything_back_after_an_error():
    network = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2, track_running_stats=False))
    network[1].eval()
    before = snapshot(network)[:2]

    def failing():
        with evaluation_mode(network, batch_statistics=True):
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert snapshot(network)[:2] == before


def test_a_group_is_scored_as_its_members_alone_and_pays_for_each(context, autogan):
    rng = numpy_generator(2, "group")
    proposals = [Proposal(autogan.sample(rng)) for _ in range(3)]
    evaluator = set_up(context, SharedEvaluator(num_images=20))
    before = context.ledger.spent()
    together = scored(evaluator, proposals)
    spent = context.ledger.spent()
    assert spent.architectures - before.architectures == 3
    assert spent.images - before.images == 60
    alone = [score(evaluator, proposal.architecture) for proposal in proposals]
    assert [e.score for e in together] == [e.score for e in alone]
    assert [e.architecture for e in together] == [p.architecture for p in proposals]


@pytest.mark.parametrize("limit", [Budget(architectures=2), Budget(images=5)])
def test_of_a_group_as_many_are_scored_as_the_budget_allows(make_context, space, limit):
    context = changed(make_context(), ledger=Ledger(limit))
    proposals = [Proposal(space.architecture([k, 0, 0, 0])) for k in range(3)]
    found = scored(set_up(context, SharedEvaluator(num_images=4)), proposals)
    assert [e.architecture for e in found] == [p.architecture for p in proposals[:2]]


def test_one_broken_path_does_not_harm_its_group(make_context, space):
    context = make_context()
    generator = context.shared_weights.supernet.generator
    with torch.no_grad():
        generator.layers["layer1"]["pointwise"].weight.fill_(torch.nan)
    choices = (["convolution", 0, 0, 0], ["pointwise", 0, 0, 0], ["identity", 0, 0, 0])
    proposals = [Proposal(space.architecture(choice)) for choice in choices]
    evaluator = set_up(context, SharedEvaluator(num_images=4))
    first, broken, last = scored(evaluator, proposals)
    assert broken.failure
    assert broken.score is None
    assert first.score == score(evaluator, proposals[0].architecture).score
    assert last.score == score(evaluator, proposals[2].architecture).score


@pytest.mark.parametrize(("stage", "side"), [(0, 4), (1, 8)])
def test_networks_of_a_stage_are_scored_on_enlarged_images(context, autogan, stage, side):
    architecture = autogan.sample(numpy_generator(3, "candidates"))
    evaluator = set_up(context, SharedEvaluator(num_images=8))
    (found,) = scored(evaluator, [Proposal(architecture, stage=stage)])
    assert found.stage == stage
    generator = context.shared_weights.supernet.generator.eval()
    weights = autogan.one_hot(architecture, stage=stage).generator
    with torch.no_grad():
        small = generator(latents(8), weights, stage=stage)
        assert small.shape[-1] == side
        large = nn.functional.interpolate(small, size=(16, 16), mode="bilinear")
    assert (context.harness.drawn[-1].int() - to_uint8(large).int()).abs().max() <= 1


@pytest.mark.parametrize(("stage", "side"), [(0, 4), (1, 8), (2, 16)])
def test_published_scores_of_a_stage_are_of_bytes_of_its_size(context, autogan, stage, side):
    architecture = autogan.sample(numpy_generator(3, "candidates"))
    evaluator = set_up(context, SharedEvaluator(num_images=8, small_images="as_generated"))
    scored(evaluator, [Proposal(architecture, stage=stage)])
    generator = context.shared_weights.supernet.generator.eval()
    weights = autogan.one_hot(architecture, stage=stage).generator
    with torch.no_grad():
        expected = to_uint8(generator(latents(8), weights, stage=stage))
    found = context.harness.drawn[-1]
    assert found.shape[-1] == side
    assert torch.equal(found, expected)


def test_candidates_of_several_stages_are_scored_in_one_call(context, autogan):
    rng = numpy_generator(2, "group")
    proposals = [Proposal(autogan.sample(rng), stage=stage) for stage in (0, 0, 2, 1, 0)]
    evaluator = set_up(context, SharedEvaluator(num_images=20, small_images="as_generated"))
    together = scored(evaluator, proposals)
    assert [images.shape[-1] for images in context.harness.drawn] == [4, 4, 16, 8, 4]
    alone = [scored(evaluator, [proposal])[0] for proposal in proposals]
    assert [e.score for e in together] == [e.score for e in alone]
    assert [e.architecture for e in together] == [p.architecture for p in proposals]


def test_the_features_network_enlarges_small_bytes_itself(context, autogan):
    """What it then sees differs from floats enlarged before they become bytes."""
    from nasgan.metrics.extractors.digits import DigitsFeatures

    architecture = autogan.sample(numpy_generator(3, "candidates"))
    for small_images in ("enlarged", "as_generated"):
        evaluator = set_up(context, SharedEvaluator(num_images=20, small_images=small_images))
        scored(evaluator, [Proposal(architecture, stage=0)])
    enlarged, small = context.harness.drawn[-2:]
    extract = DigitsFeatures(device=CPU)
    by_hand = nn.functional.interpolate(
        small.double(), size=(16, 16), mode="bilinear", align_corners=False, antialias=True
    )
    expected, _ = extract._network(by_hand / 127.5 - 1)
    found = extract(small).features
    torch.testing.assert_close(found, expected.float())
    assert not torch.allclose(found, extract(enlarged).features)


def test_fresh_latents_are_another_draw_for_each_score(context, autogan):
    rng = numpy_generator(2, "group")
    proposals = [Proposal(autogan.sample(rng))] * 3
    evaluator = set_up(context, SharedEvaluator(num_images=8, latents="fresh"))
    before = context.ledger.state_dict()
    scored(evaluator, proposals)
    scored(evaluator, proposals[:1])
    drawn = context.harness.drawn[-4:]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(drawn, 2))

    # Resumed from the ledger alone, and in other groups: the n-th score is the same.
    context.ledger.load_state_dict(before)
    scored(evaluator, proposals[:1])
    scored(evaluator, proposals[:2])
    scored(evaluator, proposals[:1])
    assert all(map(torch.equal, context.harness.drawn[-4:], drawn))

    other = set_up(changed(context, seed=1), SharedEvaluator(num_images=8, latents="fresh"))
    context.ledger.load_state_dict(before)
    scored(other, proposals[:1])
    assert not torch.equal(context.harness.drawn[-1], drawn[0])


def test_the_last_stage_is_the_full_network_and_others_are_refused(context, architecture):
    evaluator = set_up(context, SharedEvaluator(num_images=8))
    (last,) = scored(evaluator, [Proposal(architecture, stage=2)])
    assert last.stage is None
    assert last.score == score(evaluator, architecture).score
    with pytest.raises(ConfigError, match="there is no stage 3"):
        evaluator.begin(Proposal(architecture, stage=3))


def test_a_space_without_stages_scores_at_none(make_context, space):
    evaluator = set_up(make_context(), SharedEvaluator(num_images=8))
    with pytest.raises(ConfigError, match="has no stages"):
        scored(evaluator, [Proposal(space.architecture([0, 0, 0, 0]), stage=0)])


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        ("objective", ["fid"]),
        ("all", ["is", "fid"]),
        (["is"], ["is", "fid"]),
        (["fid"], ["fid"]),
        ([], ["fid"]),
    ],
)
def test_a_score_holds_what_is_asked_for(make_context, space, metrics, names):
    evaluator = set_up(make_context(), SharedEvaluator(num_images=16, metrics=metrics))
    found = score(evaluator, space.architecture([0, 0, 0, 0]))
    assert list(found.metrics) == names
    assert found.score == found.metrics["fid"]


@pytest.mark.parametrize("metrics", [["kid"], ["fid", "is", "fidd"], "fid"])
def test_scores_that_the_run_does_not_have_are_refused(make_context, metrics):
    with pytest.raises(ConfigError, match=r"evaluator\.metrics"):
        set_up(make_context(), SharedEvaluator(num_images=16, metrics=metrics))


def test_one_generator_scores_the_same_with_every_discriminator(make_context, space):
    context = make_context()
    context.shared_weights.train(
        lambda: space.sample(numpy_generator(0, "paths")), generator_steps=1
    )
    evaluator = set_up(context, SharedEvaluator(num_images=10))
    first, second = (score(evaluator, space.architecture([0, 1, 2, k])) for k in (0, 1))
    assert first.metrics == second.metrics
    assert evaluator.sees == ("generator",)


def test_an_accelerator_is_waited_for_once_an_evaluation(monkeypatch):
    """Images are looked at when the first are drawn, and the rest when all are."""
    monkeypatch.setattr(passes, "_CHEAP_LAUNCHES", ())
    batches = iter([0.0, math.nan, 0.0])

    def generate(z, labels):
        return torch.full((len(z), 1, 2, 2), next(batches))

    sample = image_sampler(
        generate, latent_dim=3, num_classes=0, seed=0, device=CPU, generator_step=7
    )
    for _ in range(3):
        sample(2)
    with pytest.raises(TrainingDiverged, match="step 7: the generated images are not finite"):
        sample.check()
    sample.check()
