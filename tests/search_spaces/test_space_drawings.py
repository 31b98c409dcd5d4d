from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from nasgan.contracts import SearchSpace
from nasgan.graph import Edge, Graph
from nasgan_search_spaces.adversarial_nas.published import ADVERSARIALNAS
from nasgan_search_spaces.adversarial_nas.space import AdversarialNASSpace
from nasgan_search_spaces.autogan.published import AUTOGAN_A
from nasgan_search_spaces.autogan.space import AutoGANSpace
from nasgan_search_spaces.baselines.space import BaselinesSpace


def edges(graph: Graph, *, kind: str | None = None) -> set[tuple[str, str]]:
    return {(e.source, e.target) for e in graph.edges if kind in (None, e.kind)}


def test_autogan_a_shows_its_skips_and_shortcuts() -> None:
    space = AutoGANSpace(image_size=32)
    generator, discriminator = space.describe(AUTOGAN_A)
    assert (generator.title, discriminator.title) == ("generator", "discriminator")
    chosen = dict(AUTOGAN_A)
    ends = {"cell1": "linear"}
    for before, cell in (("cell1", "cell2"), ("cell2", "cell3")):
        has_shortcut = chosen[f"{before}.shortcut"] == "on"
        ends[cell] = f"{before}.out" if has_shortcut else f"{before}.conv2"
    expected = {(ends[cell], f"{cell}.out") for cell in ends if chosen[f"{cell}.shortcut"] == "on"}
    sources = {"none": (), "cell1": ("cell1",), "cell2": ("cell2",), "both": ("cell1", "cell2")}
    for cell in ("cell2", "cell3"):
        for source in sources[chosen[f"{cell}.skip"]]:
            hands_on = "skip" if chosen.get(f"{source}.skip", "none") != "none" else "conv1"
            expected.add((f"{source}.{hands_on}", f"{cell}.skip"))
    assert edges(generator, kind="chosen") == expected


@pytest.mark.parametrize("seed", range(8))
def test_autogan_draws_what_is_decided(seed: int) -> None:
    space = AutoGANSpace(image_size=32)
    architecture = space.sample(np.random.default_rng(seed))
    (generator, _) = space.describe(architecture)
    lines = {node.id: " ".join(node.lines) for node in generator.nodes}
    for cell in ("cell1", "cell2", "cell3"):
        assert architecture[f"{cell}.upsample"] in lines[f"{cell}.conv1"]
        for block in ("conv1", "conv2"):
            assert f"{architecture[f'{cell}.block']}-activation" in lines[f"{cell}.{block}"]
            norm = architecture[f"{cell}.norm"].replace("none", "no norm")
            assert norm in lines[f"{cell}.{block}"]


def test_adversarialnas_labels_its_edges_with_the_operations() -> None:
    space = AdversarialNASSpace(image_size=32, discriminator="autogan")
    architecture = space.sample(np.random.default_rng(4))
    generator, discriminator = space.describe(architecture)
    drawn = {f"{e.source}-{e.target.split('.')[1]}": e.label for e in generator.edges if e.label}
    decided = {name: option for name, option in architecture if option != "none"}
    assert drawn.keys() == decided.keys()
    assert all(("identity" in drawn[k]) == (decided[k] == "skip_connect") for k in drawn)
    assert "AutoGAN" in {node.label for node in discriminator.nodes}


def test_an_edge_that_nothing_reads_is_unused() -> None:
    space = AdversarialNASSpace(image_size=32, discriminator="autogan")
    options = {
        d.name: "conv_3x3" if "conv_3x3" in d.options else "nearest" for d in space.decisions
    }
    options |= {"up3.1-3": "none", "up3.2-3": "conv_1x1", "up3.3-4": "none"}
    generator, _ = space.describe(space.architecture(options))
    assert ("up3.2", "up3.3") in edges(generator, kind="unused")
    assert ("up3.1", "up3.3") not in edges(generator)
    assert ("up3.1", "up3.4") in edges(generator, kind="chosen")


def test_the_published_pair_fits_its_drawing() -> None:
    settings = AdversarialNASSpace.settings_for(ADVERSARIALNAS)
    space = AdversarialNASSpace(image_size=32, **settings)
    generator, _ = space.describe(ADVERSARIALNAS)
    assert sum(bool(edge.label) for edge in generator.edges) == 21 - sum(
        option == "none" for _, option in ADVERSARIALNAS
    )


def test_small_images_have_fewer_down_cells() -> None:
    space = AdversarialNASSpace(image_size=16)
    _, discriminator = space.describe(space.sample(np.random.default_rng(0)))
    assert {n.group.split(" ")[0] for n in discriminator.nodes if n.group} == {
        "down1",
        "down2",
        "down3",
    }


@pytest.mark.parametrize("image_size", [8, 16, 32, 48])
@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize("network", ["dcgan", "sngan"])
def test_baselines_show_a_node_for_each_layer(
    network: str, image_size: int, spectral_norm: bool
) -> None:
    space = BaselinesSpace(
        image_size=image_size,
        generator_channels=8,
        discriminator_channels=8,
        latent_dim=4,
        spectral_norm=spectral_norm,
    )
    architecture = space.architecture({"generator": network, "discriminator": network})
    graphs = space.describe(architecture)
    built = (space.build_generator(architecture), space.build_discriminator(architecture))
    kinds = {"sngan": ("GeneratorBlock", "DiscriminatorBlock"), "dcgan": ("Conv", "Conv")}[network]
    for graph, module, kind in zip(graphs, built, kinds, strict=True):
        names = [type(part).__name__ for part in module.modules()]
        inside = [node for node in graph.nodes if node.group == network.upper()]
        assert len(inside) == sum(kind in name for name in names)
    lines = [" ".join(node.lines) for node in graphs[1].nodes if node.group]
    number = sum(isinstance(part, nn.BatchNorm2d) for part in built[1].modules())
    assert sum("batch norm" in line for line in lines) == number
    assert all("spectral norm" in line for line in lines) == spectral_norm
    assert f"to {image_size}×{image_size}" in graphs[0].nodes[-3].lines


def test_a_space_that_says_nothing_is_drawn_from_its_decisions() -> None:
    space = AdversarialNASSpace(image_size=32)
    architecture = space.sample(np.random.default_rng(2))
    generator, discriminator = SearchSpace.describe(space, architecture)
    assert (generator.title, discriminator.title) == ("generator", "discriminator")
    assert [e.label for e in generator.edges if e.label] == [
        option for name, option in architecture if name.startswith("up")
    ]
    assert Edge("up1.4", "up2.0", "", "fixed") in generator.edges
