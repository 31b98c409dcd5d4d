"""Nine methods that nobody here thought of, as a plugin's author would write them.

They were written once before the contracts had a training handle, evaluators, losses and
augmentations as plugins, parents, parts and stages: in 105 to 389 lines each.
"""

import copy

import optuna
import torch
from torch import nn
from torch.nn import functional as F

from nasgan.contracts import (
    AdversarialLoss,
    AskTellStrategy,
    Augmentation,
    Decision,
    HalfWeights,
    Objective,
    Proposal,
    SearchSpace,
    SearchStrategy,
    SimpleEvaluator,
    StepReport,
    Supernet,
    held_out_images,
    mix_options,
)
from nasgan.errors import ConfigError

PARTS = ("generator", "discriminator")


class AlphaGANLike(SearchStrategy):
    """Descends the duality gap by the logits of the options (Tian et al. 2021)."""

    name = "alphagan_like"

    def __init__(self, *, rounds=3, steps=2):
        self.rounds, self.steps, self.round = rounds, steps, 0

    def setup(self, run):
        super().setup(run)
        draw = run.rng("logits").standard_normal
        self.logits = {
            d.name: torch.tensor(1e-3 * draw(len(d.options))).float().requires_grad_()
            for d in run.space.decisions
        }
        self.optimiser = torch.optim.Adam(self.logits.values(), lr=3e-2)

    @property
    def finished(self):
        return self.round >= self.rounds

    def weights(self):
        rows = {name: logits.softmax(0) for name, logits in self.logits.items()}
        halves = (self.run.space.part_decisions(part) for part in PARTS)
        return HalfWeights(*([rows[d.name] for d in half] for half in halves))

    def step(self):
        with torch.no_grad():
            fixed = self.weights()
        self.train(self.run.shared_weights, fixed, PARTS)
        losses = {part: self.better(part, fixed) for part in PARTS}
        gap = losses["generator"] - losses["discriminator"]
        self.optimiser.zero_grad()
        gap.backward()
        self.optimiser.step()
        self.round += 1
        return StepReport(f"gap {gap:.3g}", self.round / self.rounds, values={"gap": gap.item()})

    def better(self, part, fixed):
        """The value of the game where one player is a better copy, with gradients to logits."""
        pair = copy.deepcopy(self.run.shared_weights.supernet)
        name, images = f"{part} {self.round}", held_out_images(self.run)
        self.train(self.run.trainer(pair, name=name), fixed, (part,))
        judge = self.run.trainer(pair, name=f"judge {self.round}", images=images)
        (real,) = judge.real_images()
        weights = self.weights()
        return judge.discriminator_loss(
            real, weights, for_architecture=True, through_generator=True
        )

    def train(self, trainer, weights, parts):
        for _ in range(self.steps):
            if "discriminator" in parts:
                (real,) = trainer.real_images()
                trainer.update_discriminator(trainer.discriminator_loss(real, weights))
            if "generator" in parts:
                trainer.update_generator(trainer.generator_loss(weights))

    def incumbent(self):
        rows = [row.softmax(0).tolist() for row in self.logits.values()]
        return self.run.space.derive(rows) if self.round else None

    def state_dict(self):
        logits = {name: logits.detach().clone() for name, logits in self.logits.items()}
        return {"round": self.round, "logits": logits, "adam": self.optimiser.state_dict()}

    @torch.no_grad()
    def load_state_dict(self, state):
        self.round = state["round"]
        for name, logits in self.logits.items():
            logits.copy_(state["logits"][name])
        self.optimiser.load_state_dict(state["adam"])


class EAGANLike(AskTellStrategy):
    """Evolves generators first, then the discriminators of the best one (Ying et al. 2022)."""

    name = "eagan_like"

    def __init__(self, *, candidates=12, population=4):
        super().__init__()
        self.candidates, self.population = candidates, population

    @property
    def finished(self):
        return len(self.evaluations) >= self.candidates

    @property
    def stage(self):
        return PARTS[len(self.evaluations) >= self.candidates // 2]

    def ask(self):
        asked = len(self.evaluations) + self.run.pool.under_way
        if asked >= self.candidates:
            return None
        space, rng = self.run.space, self.run.rng("evolution")
        best = self.run.objective.best_first(e for e in self.evaluations if e.score is not None)
        if asked < self.population or not best:
            return Proposal(space.sample(rng))
        parents = best[: 1 if self.stage == "discriminator" else self.population]
        parent = parents[rng.integers(len(parents))].architecture
        return Proposal(space.mutate(parent, rng, part=self.stage))


class E2GANLike(AskTellStrategy):
    """Stage by stage, by soft actor-critic over the options (Tian et al. 2020)."""

    name = "e2gan_like"
    trains_supernet_itself = True

    def __init__(self, *, trajectories=3, steps=2, entropy=0.1):
        super().__init__()
        self.trajectories, self.steps, self.entropy = trajectories, steps, entropy
        self.at, self.choices, self.before, self.memory = [0, 0], {}, 0.0, []

    def setup(self, run):
        super().setup(run)
        if not run.evaluator.needs_shared_weights:
            raise ConfigError("e2gan_like scores networks that grow: use evaluator=shared")
        options = sum(len(d.options) for d in run.space.decisions)
        init = run.rng("agent").standard_normal
        self.agent = {  # of a policy and a critic, linear in the stage
            name: torch.tensor(0.1 * init((run.space.num_stages, options))).requires_grad_()
            for name in ("policy", "critic")
        }
        self.optimiser = torch.optim.Adam(self.agent.values(), lr=1e-2)

    @property
    def finished(self):
        return self.at[0] >= self.trajectories

    def rows(self, name, stage):
        """What the agent holds of each option of the stage's decisions."""
        decisions = self.run.space.decisions
        sizes = [len(d.options) for d in decisions]
        rows = zip(decisions, self.agent[name][stage].split(sizes), strict=True)
        return {d.name: row for d, row in rows if d.stage == stage}

    def architecture(self):
        space = self.run.space
        indices = tuple(self.choices.get(d.name, 0) for d in space.decisions)
        return space.architecture(space.repair(indices))

    def ask(self):
        stage, rng, last = self.at[1], self.run.rng("actions"), self.run.space.num_stages - 1
        for name, row in self.rows("policy", stage).items():
            odds = row.detach().softmax(0).numpy()
            self.choices[name] = int(rng.choice(len(odds), p=odds / odds.sum()))
        chosen, grown = self.architecture(), stage if stage < last else None
        self.run.shared_weights.train(lambda: chosen, generator_steps=self.steps, stage=grown)
        return Proposal(chosen, stage=grown)

    def tell(self, evaluation):
        stage, score = self.at[1], evaluation.score
        reward = 0.0 if score is None else self.run.objective.reward(score)
        taken = {name: self.choices[name] for name in self.rows("policy", stage)}
        self.memory.append([stage, taken, reward - self.before])
        self.before = reward
        self.learn()
        if stage + 1 < self.run.space.num_stages and score is not None:
            self.at[1] += 1
            return
        self.at, self.choices, self.before = [self.at[0] + 1, 0], {}, 0.0
        if not self.finished:
            self.run.shared_weights.reset()

    def learn(self):
        loss = torch.zeros((), dtype=torch.float64)
        for stage, taken, gain in self.memory:
            values = self.rows("critic", stage)
            estimate = torch.stack([values[name][k] for name, k in taken.items()]).sum()
            loss = loss + (estimate - gain) ** 2
            for name, row in self.rows("policy", stage).items():
                odds = row.softmax(0)
                loss = loss + (odds * (self.entropy * odds.log() - values[name].detach())).sum()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def proposer_state(self):
        agent = {name: rows.detach().clone() for name, rows in self.agent.items()}
        held = {"at": list(self.at), "choices": dict(self.choices), "before": self.before}
        held |= {"memory": copy.deepcopy(self.memory), "adam": self.optimiser.state_dict()}
        return {**held, "agent": agent}

    @torch.no_grad()
    def load_proposer_state(self, state):
        self.at, self.choices = list(state["at"]), dict(state["choices"])
        self.before, self.memory = state["before"], copy.deepcopy(state["memory"])
        for name, rows in self.agent.items():
            rows.copy_(state["agent"][name])
        self.optimiser.load_state_dict(state["adam"])


class TPE(AskTellStrategy):
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011)."""

    name = "tpe_like"

    def __init__(self, *, candidates=16):
        super().__init__()
        self.candidates = candidates

    @property
    def finished(self):
        return len(self.evaluations) >= self.candidates

    def ask(self):
        if len(self.evaluations) + self.run.pool.under_way >= self.candidates:
            return None
        space, seed = self.run.space, int(self.run.rng("tpe").integers(2**31))
        category = optuna.distributions.CategoricalDistribution
        choices = {d.name: category(d.options) for d in space.decisions}
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=4)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        for made in self.evaluations:
            if made.score is not None:
                told = {"params": dict(made.architecture), "distributions": choices}
                reward = self.run.objective.reward(made.score)
                study.add_trial(optuna.trial.create_trial(**told, value=reward))
        asked = study.ask(choices).params
        indices = tuple(d.index(asked[d.name]) for d in space.decisions)
        return Proposal(space.architecture(space.repair(indices)))


class GradientNorm(SimpleEvaluator):
    """A zero-cost proxy: the norm of the generator's gradient, untrained."""

    fidelity = "gradient_norm_like"
    objective = Objective("gradient_norm_like", "max")

    def score(self, proposal):
        pair, space = self.run.networks(proposal.architecture), self.run.space
        z = torch.from_numpy(self.run.rng("z").standard_normal((8, space.network.latent_dim)))
        pair.discriminator(pair.generator(z.float())).mean().backward()
        return sum(p.grad.norm().item() for p in pair.generator.parameters() if p.grad is not None)


class TableLookUp(SimpleEvaluator):
    """Scores that were made before, by an architecture's id."""

    fidelity = "table_like"

    def __init__(self, *, scores, otherwise=0.0):
        self.scores, self.otherwise = dict(scores), otherwise

    def score(self, proposal):
        return self.scores.get(proposal.architecture.id, self.otherwise)


class Colours(Augmentation):
    """DiffAugment's colours and cutout (Zhao et al. 2020)."""

    def __call__(self, images, generator):
        shift, scale = (self.draw(images, generator, (len(images), 1, 1, 1)) for _ in range(2))
        mean = images.mean(dim=1, keepdim=True)
        images = (images + shift - 0.5 - mean) * 2 * scale + mean
        corner = self.draw(images, generator, (len(images), 2)) * images.shape[-1]
        at = torch.arange(images.shape[-1], device=images.device)
        inside = (at - corner[:, :, None]).abs() < images.shape[-1] / 4
        return images * ~(inside[:, 0, :, None] & inside[:, 1, None, :])[:, None]

    def draw(self, images, generator, shape):
        return torch.rand(shape, generator=generator, device=images.device).to(images.dtype)


class Relativistic(AdversarialLoss):
    """The relativistic average loss (Jolicoeur-Martineau 2019)."""

    sees_real = True

    def discriminator(self, real, fake):
        return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()

    def generator(self, fake, real=None):
        return self.discriminator(fake, real)


class Choice(nn.ModuleDict):
    """All options in the supernet, one in a derived network."""

    def forward(self, x, weight):
        options = [lambda option=option: option(x) for option in self.values()]
        return options[0]() if weight is None else mix_options(weight, options)


class Mixer(nn.Module):
    """Attention among tokens, or a layer that mixes them."""

    def __init__(self, kind, width, tokens):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 1) if kind == "attention" else None
        self.linear = nn.Linear(tokens, tokens) if kind == "linear" else None

    def forward(self, x):
        if self.linear is not None:
            return x + self.linear(x.mT).mT
        x = x.transpose(0, 1)
        return (x + self.attention(x, x, x, need_weights=False)[0]).transpose(0, 1)


class Tokens(nn.Module):
    """Patches as tokens: to images from latents, or to a logit from images."""

    def __init__(self, network, choices, *, generates):
        super().__init__()
        self.patch, self.generates, width = 2, generates, network.generator_channels
        side = network.image_size // self.patch
        pixels = network.image_channels * self.patch**2
        self.start = nn.Linear(network.latent_dim if generates else pixels, width)
        self.places = nn.Parameter(torch.randn(side**2, width))
        self.blocks = nn.ModuleList(
            Choice({kind: Mixer(kind, width, side**2) for kind in kinds}) for kinds in choices
        )
        self.end = nn.Linear(width, pixels if generates else 1)
        self.fold = nn.Fold(network.image_size, self.patch, stride=self.patch)

    def forward(self, x, weights=None, *, stage=None):
        x = x[:, None] if self.generates else F.unfold(x, self.patch, stride=self.patch).mT
        h = self.start(x) + self.places
        for k, block in enumerate(self.blocks):
            h = block(h, weights and weights[k])
        return self.fold(self.end(h).mT).tanh() if self.generates else self.end(h.mean(1))


class TokenSpace(SearchSpace):
    """Generators and discriminators of tokens (as in TransGAN, Jiang et al. 2021)."""

    name = "tokens"
    KINDS = ("attention", "linear")

    @property
    def decisions(self):
        return tuple(Decision(f"{p}{k}", self.KINDS, part=p) for p in PARTS for k in range(2))

    def half(self, part, chosen=None):
        choices = [(chosen[d.name],) if chosen else d.options for d in self.part_decisions(part)]
        return Tokens(self.network, choices, generates=part == "generator")

    def build_generator(self, architecture):
        self.validate(architecture)
        return self.half("generator", dict(architecture))

    def build_discriminator(self, architecture):
        self.validate(architecture)
        return self.half("discriminator", dict(architecture))

    def build_supernet(self):
        return Supernet(*map(self.half, PARTS))


METHODS = {
    "AlphaGAN": (AlphaGANLike,),
    "EAGAN": (EAGANLike,),
    "E2GAN": (E2GANLike,),
    "TPE": (TPE,),
    "zero-cost proxy": (GradientNorm,),
    "table": (TableLookUp,),
    "DiffAugment": (Colours,),
    "relativistic loss": (Relativistic,),
    "token generator": (Choice, Mixer, Tokens, TokenSpace),
}
