"""The surrogate predicts what it was not fitted on, and knows the noise between trainings."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.ensemble import GradientBoostingRegressor

from nasgan.architecture import Architecture, Decision
from nasgan.errors import NasganError
from nasgan.tabular.forest import Forest
from nasgan.tabular.noise import NoiseModel
from nasgan.tabular.score_model import FitStore, ScoreModel, ScoreModels
from nasgan.tabular.surrogate import ArchitectureFeatures, Surrogate

DECISIONS = [
    Decision("a", ("conv", "pool", "skip")),
    Decision("b", ("conv", "pool", "skip")),
    Decision("c", ("on", "off")),
    Decision("only", ("one",)),
    Decision("d", ("wide", "narrow", "none")),
]
STEPS = (100, 200)
_EFFECTS = {("a", "conv"): 0.5, ("b", "pool"): -0.3, ("c", "on"): 0.2, ("d", "none"): 0.4}


def _architecture(*options: str) -> Architecture:
    return Architecture("toy", 1, tuple(zip([d.name for d in DECISIONS], options, strict=True)))


def _sample(rng: np.random.Generator) -> Architecture:
    return _architecture(*(str(rng.choice(d.options)) for d in DECISIONS))


def _location(architecture: Architecture) -> float:
    """The true mean of the logarithm of FID, with an interaction that no linear model has."""
    mixed = 0.5 * (architecture["a"] == architecture["b"])
    return 5.0 + mixed + sum(_EFFECTS.get(choice, 0.0) for choice in architecture)


def _table(
    *, seeds: int = 3, spread: float = 0.1, count: int = 50
) -> tuple[list[Architecture], dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    distinct = list(dict.fromkeys(_sample(rng) for _ in range(200)))[:count]
    trained = [architecture for architecture in distinct for _ in range(seeds)]
    logs = np.array([[_location(a) + 0.3, _location(a)] for a in trained])
    noise = spread * rng.standard_normal((len(trained), 1)) * np.ones((1, 2))
    precision = np.clip(0.5 + 0.05 * rng.standard_normal(logs.shape), 0, 1) - 0.5
    return trained, {"fid": np.exp(logs + noise), "gap": precision}


@pytest.fixture(scope="module")
def surrogate() -> Surrogate:
    return Surrogate(DECISIONS, *_order(_table()))


def _order(
    table: tuple[list[Architecture], dict[str, np.ndarray]],
) -> tuple[list[Architecture], tuple[int, ...], dict[str, np.ndarray]]:
    return table[0], STEPS, table[1]


def test_features_are_options_and_counts_of_shared_names():
    features = ArchitectureFeatures(DECISIONS)
    row = dict(
        zip(
            features.names,
            features([_architecture("conv", "conv", "on", "one", "none")])[0],
            strict=True,
        )
    )
    assert row["a=conv"] == row["b=conv"] == row["c=on"] == row["d=none"] == 1
    assert row["a=pool"] == row["count of pool"] == 0
    assert row["count of conv"] == 2
    # What cannot vary, or occurs in one decision only, says nothing more.
    assert "only=one" not in row
    assert "count of on" not in row


def test_ranks_architectures_that_were_not_trained(surrogate):
    trained = set(_table()[0])
    rng = np.random.default_rng(5)
    unseen = [a for a in dict.fromkeys(_sample(rng) for _ in range(300)) if a not in trained]
    truth = [_location(a) for a in unseen]
    assert len(unseen) >= 4
    predicted = surrogate.location("fid", unseen, 200)
    assert np.abs(predicted - truth).max() < 0.25
    assert (
        kendalltau(
            surrogate.location("fid", sorted(trained, key=_location), 200),
            sorted(map(_location, trained)),
        )[0]
        > 0.8
    )


def test_the_interaction_makes_trees_worth_their_share():
    trained, scores = _table(spread=0.02)
    features = ArchitectureFeatures(DECISIONS)(trained)
    targets = np.log(scores["fid"][:, 1])
    model = ScoreModel.fit(features, targets, np.ones(len(targets)), seed=1)
    assert model.share_of_trees > 0.5


def test_a_linear_truth_leaves_the_ridge_its_share():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((80, 6))
    model = ScoreModel.fit(features, features @ np.arange(6.0), np.ones(80), seed=1)
    assert model.share_of_trees < 0.1


def _fitted(count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    features = rng.integers(0, 3, (count, 7)).astype(np.float64)
    scores = features[:, 0] * features[:, 1] + 0.1 * rng.standard_normal(count)
    return features, scores, rng.uniform(0.5, 2.0, count)


def test_trees_as_arrays_predict_what_scikit_learn_predicts():
    features, scores, weights = _fitted()
    trees = GradientBoostingRegressor(n_estimators=40, max_depth=3, random_state=0)
    trees.fit(features, scores, sample_weight=weights)
    forest = Forest.of([stage[0].tree_ for stage in trees.estimators_], depth=3, scale=0.1)
    constant = np.average(scores, weights=weights)
    unseen = np.random.default_rng(4).integers(0, 3, (50, 7)).astype(np.float64)
    assert constant + forest.predict(unseen) == pytest.approx(trees.predict(unseen), abs=1e-12)


def test_a_tree_without_a_split_adds_its_value_everywhere():
    flat = GradientBoostingRegressor(n_estimators=1, max_depth=3).fit(np.zeros((9, 1)), np.ones(9))
    forest = Forest.of([flat.estimators_[0, 0].tree_], depth=3, scale=1.0)
    assert forest.predict(np.array([[-5.0], [5.0]])).tolist() == [0.0, 0.0]


def test_models_asked_together_predict_what_each_does():
    features, scores, weights = _fitted()
    parts = [(scores, weights), (features[:, 2], weights), (-scores, weights)]
    models = [ScoreModel.fit(features, *part, seed=1) for part in parts]
    together = ScoreModels(models).predict(features[5])
    alone = [model.predict(features[5:6])[0] for model in models]
    assert together == pytest.approx(alone, abs=1e-12)


def test_a_fit_is_kept_and_found_again(tmp_path, monkeypatch):
    parts = _fitted(count=12)
    made = FitStore(tmp_path).get(*parts, seed=2)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(ScoreModel, "fit", None)
    found = FitStore(tmp_path).get(*parts, seed=2)
    assert found.predict(parts[0]).tolist() == made.predict(parts[0]).tolist()
    monkeypatch.undo()
    file.write_bytes(file.read_bytes()[:-40])
    again = FitStore(tmp_path).get(*parts, seed=2)
    assert again.predict(parts[0]).tolist() == made.predict(parts[0]).tolist(), "fitted anew"


@pytest.mark.parametrize("change", ["scores", "seed", "code"])
def test_another_fit_is_kept_apart(tmp_path, change, monkeypatch):
    features, scores, weights = _fitted(count=12)
    FitStore(tmp_path).get(features, scores, weights, seed=2)
    moved = scores + (change == "scores")
    if change == "code":
        monkeypatch.setattr("nasgan.tabular.score_model._CODE", -1)
    FitStore(tmp_path).get(features, moved, weights, seed=3 if change == "seed" else 2)
    assert len(list(tmp_path.iterdir())) == 2


def test_predictions_are_means_and_deviations_in_the_metrics_unit(surrogate):
    architecture = _architecture("conv", "pool", "on", "one", "none")
    found = surrogate.predict(architecture, 200)
    location = surrogate.location("fid", [architecture], 200)[0]
    spread = float(surrogate.noise.spread(1, np.array([location]))[0])
    drawn = np.exp(np.random.default_rng(0).normal(location, spread, 400_000))
    assert found["fid"].mean == pytest.approx(drawn.mean(), rel=2e-3)
    assert found["fid"].std == pytest.approx(drawn.std(), rel=1e-2)
    # A metric that is not positive is not taken the logarithm of.
    assert found["gap"].mean == pytest.approx(0.0, abs=0.05)
    assert found["gap"].std == pytest.approx(0.05, rel=0.3)


def test_draws_repeat_by_seed_and_scatter_as_the_noise_does(surrogate):
    architecture = _architecture("skip", "pool", "off", "one", "none")
    first = surrogate.draw(architecture, 200, seed=3)
    assert first == surrogate.draw(architecture, 200, seed=3)
    assert first != surrogate.draw(architecture, 200, seed=4)
    drawn = np.log(
        [surrogate.draw(architecture, 200, seed=k, metrics=["fid"])["fid"] for k in range(400)]
    )
    assert drawn.mean() == pytest.approx(
        surrogate.location("fid", [architecture], 200)[0], abs=0.03
    )
    assert drawn.std() == pytest.approx(0.1, rel=0.25)


def test_the_points_of_one_draw_go_together(surrogate):
    architecture = _architecture("skip", "pool", "off", "one", "none")
    pairs = np.array(
        [
            [surrogate.draw(architecture, step, seed=k, metrics=["fid"])["fid"] for step in STEPS]
            for k in range(150)
        ]
    )
    assert np.corrcoef(np.log(pairs).T)[0, 1] > 0.8


def test_a_fit_is_deterministic():
    architecture = _architecture("conv", "pool", "on", "one", "none")
    made = [Surrogate(DECISIONS, *_order(_table(count=12))) for _ in range(2)]
    first, second = (each.predict(architecture, 100, ["fid"]) for each in made)
    assert first == second


@pytest.mark.parametrize("seed", range(3))
def test_the_last_digit_in_which_processors_differ_makes_no_other_fit(seed):
    trained, scores = _table()
    rng = np.random.default_rng(seed)
    other = {name: v * (1 + 2e-16 * rng.standard_normal(v.shape)) for name, v in scores.items()}
    assert any((other[name] != scores[name]).any() for name in scores)
    wanted = [_sample(rng) for _ in range(40)]
    one, two = (Surrogate(DECISIONS, *_order((trained, each))) for each in (scores, other))
    for metric in scores:
        made, again = (each.location(metric, wanted, STEPS[-1]) for each in (one, two))
        np.testing.assert_allclose(made, again, rtol=0, atol=1e-12)
    spreads = (each.noise.spread(1, np.linspace(-1, 1, 9)) for each in (one, two))
    np.testing.assert_allclose(*spreads, rtol=1e-12)


def test_the_spread_may_depend_on_the_level():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(400), 4)
    level = np.linspace(-1, 1, 400)[group]
    values = (level + np.exp(-2 + 0.8 * level) * rng.standard_normal(len(group)))[:, None]
    noise = NoiseModel(values, group)
    low, high = noise.spread(0, np.array([-0.8, 0.8]))
    assert low == pytest.approx(np.exp(-2.64), rel=0.2)
    assert high == pytest.approx(np.exp(-1.36), rel=0.2)


def test_a_constant_spread_is_the_pooled_standard_deviation():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(300), 2)
    values = rng.normal(0, 3.0, 300)[group][:, None] + 0.5 * rng.standard_normal((600, 1))
    pairs = values[:, 0].reshape(300, 2)
    pooled = np.sqrt(((pairs[:, 0] - pairs[:, 1]) ** 2).sum() / 2 / 300)
    assert NoiseModel(values, group).spread(0, np.zeros(1))[0] == pytest.approx(pooled, rel=0.03)


def test_trainings_that_broke_down_are_told_and_do_not_spoil_the_rest():
    trained, scores = _table(count=50)
    broken = np.array([a["d"] == "wide" and a["a"] == "skip" for a in trained])
    scores["fid"][broken, 1] = np.nan
    made = Surrogate(DECISIONS, *_order((trained, scores)))
    bad = _architecture("skip", "pool", "on", "one", "wide")
    good = _architecture("conv", "pool", "on", "one", "narrow")
    assert made.failure_probability(bad) > broken.mean() > 2 * made.failure_probability(good)
    assert np.isfinite(made.predict(bad, 200)["fid"].mean)


def test_a_score_that_no_training_has_changes_nothing(surrogate):
    trained, scores = _table()
    more = {**scores, "kid": np.full(scores["fid"].shape, np.nan)}
    made = Surrogate(DECISIONS, *_order((trained, more)))
    architecture = _architecture("conv", "pool", "on", "one", "narrow")
    assert made.failure_probability(architecture) == 0.0
    points = [("fid", 100), ("fid", 200)]
    drawn = [
        np.log([model.draw_curve(architecture, points, seed=k) for k in range(200)])
        for model in (surrogate, made)
    ]
    together = [float(np.corrcoef(each.T)[0, 1]) for each in drawn]
    assert together[1] == pytest.approx(together[0], abs=0.1)
    assert together[0] > 0.7


def test_what_the_table_does_not_hold_is_named(surrogate):
    architecture = _architecture("conv", "pool", "on", "one", "none")
    with pytest.raises(NasganError, match="no scores at step 300; its points are 100, 200"):
        surrogate.predict(architecture, 300)
    with pytest.raises(NasganError, match="no metric 'kid'; it has fid, gap"):
        surrogate.predict(architecture, 200, ["kid"])


def test_without_repeats_the_noise_is_unknown():
    with pytest.raises(NasganError, match="two seeds or more"):
        Surrogate(DECISIONS, *_order(_table(seeds=1, count=20)))
