import pytest
import torch
from planted import biased_vit, color_vit, red_and_blue, small_cnn, small_vit
from scipy.stats import spearmanr

import vitrail
from vitrail.errors import InputError
from vitrail.inspection.attribution import METHODS, apply, attribute, cells, enlarged, methods_for
from vitrail.inspection.masking import cell_along, cell_means
from vitrail.models.vit import attention_weights

VIT_METHODS = list(METHODS)
CNN_METHODS = ["grad-cam", "integrated-gradients", "occlusion", "random", "centre"]
CLASS_METHODS = [name for name, method in METHODS.items() if method.depends_on_class]
SHAPES = [
    {},
    {"readout": ("mean",), "num_registers": 2},
    {"readout": ("cls", "dist")},
    {"image_size": (8, 20)},
    {"depth": 1},
]


@pytest.mark.parametrize("changes", SHAPES)
@pytest.mark.parametrize("method", VIT_METHODS)
def test_every_method_gives_a_finite_map_of_every_image_as_it_would_alone(method, changes):
    model = small_vit(**changes)
    images = torch.randn(3, 3, *model.config.size)
    targets = [0, 4, 2]
    maps = attribute(model, images, method, targets)
    assert maps.shape == (3, *model.config.size)
    assert maps.dtype == torch.float32
    assert torch.isfinite(maps).all()
    assert not maps.requires_grad
    if method != "random":
        alone = attribute(model, images[1:2], method, targets[1])
        assert torch.allclose(alone[0], maps[1], atol=1e-5 * maps.abs().max().item())


@pytest.mark.parametrize("method", CNN_METHODS)
def test_a_cnn_has_the_methods_that_apply(method):
    model = small_cnn()
    assert [m.name for m in methods_for(model)] == CNN_METHODS
    maps = attribute(model, torch.randn(3, 3, 16, 16), method, 1)
    assert maps.shape == (3, 16, 16)
    assert torch.isfinite(maps).all()


@pytest.mark.parametrize("readout", [("cls",), ("mean",)])
@pytest.mark.parametrize("method", CLASS_METHODS)
def test_the_patches_that_make_the_score_are_found(method, readout):
    model, images = color_vit(readout), red_and_blue()
    red, blue = (attribute(model, images, method, target) for target in (0, 2))
    # Enlarging blurs the border between patches: the middles of the squares are compared.
    assert (red[:, 2:6, 2:6].amin(dim=(1, 2)) > red[:, 10:14, 10:14].amax(dim=(1, 2))).all()
    assert (blue[:, 10:14, 10:14].amin(dim=(1, 2)) > blue[:, 2:6, 2:6].amax(dim=(1, 2))).all()
    assert spearmanr(red.flatten(), blue.flatten()).statistic < 0.9


@pytest.mark.parametrize("method", [name for name in METHODS if name not in CLASS_METHODS])
def test_methods_that_do_not_depend_on_the_class_say_so(method):
    model = small_vit()
    images = torch.randn(2, 3, 12, 12)
    assert torch.equal(attribute(model, images, method, 0), attribute(model, images, method, 3))


@pytest.mark.parametrize("method", CLASS_METHODS)
def test_methods_that_depend_on_the_class_give_different_maps(method):
    model = small_vit()
    images = torch.randn(2, 3, 12, 12)
    assert not torch.allclose(attribute(model, images, method, 0), attribute(model, images, method, 3), atol=1e-4)


def test_gradients_by_the_weights_follow_from_the_outputs():
    """Relevancy written out with the weights themselves as what is differentiated by."""
    model = small_vit()
    images = torch.randn(2, 3, 12, 12)
    kept, weights = {}, {}

    def tap(name, x):
        kept[name] = x
        if name.endswith("attn.z"):
            place = name.removesuffix(".z")
            a = attention_weights(kept[f"{place}.q"], kept[f"{place}.k"], 8**-0.5)
            a.retain_grad()
            weights[place] = a
            return a @ kept[f"{place}.v"]
        return x

    model(images, tap)[:, 3].sum().backward()
    total = torch.eye(10).expand(2, 10, 10)
    for i in range(3):
        a = weights[f"blocks.{i}.attn"]
        total = total + (a * a.grad).clamp(min=0).mean(dim=1) @ total
    expected = total[:, 0, 1:].unflatten(1, (3, 3)).detach()
    found = attribute(model, images, "relevancy", 3)
    enlarged = torch.nn.functional.interpolate(expected[:, None], scale_factor=4, mode="bilinear")[:, 0]
    assert torch.allclose(found, enlarged, atol=1e-6 * expected.max().item())


def test_relevancy_is_by_the_attention_that_the_model_computes():
    model = biased_vit()
    images = torch.randn(2, 3, 12, 12)
    score = model(images)[:, 3].sum()
    used = [block.attn.used for block in model.blocks]
    total = torch.eye(10).expand(2, 10, 10)
    for a, gradient in zip(used, torch.autograd.grad(score, used), strict=True):
        total = total + (a * gradient).clamp(min=0).mean(dim=1) @ total
    expected = enlarged(total[:, 0, 1:].unflatten(1, (3, 3)).detach(), (12, 12))
    found = attribute(model, images, "relevancy", 3)
    assert torch.allclose(found, expected, atol=1e-6 * expected.max().item())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"readout": ("mean",), "num_registers": 2},
        {"readout": ("cls", "mean"), "final_norm": "readout"},
        {"readout": ("cls", "dist"), "image_size": (8, 20)},
        {"head": "tanh", "qk_norm": True, "depth": 1},
    ],
)
def test_legrad_scores_every_layer_by_the_mean_of_all_its_tokens(changes):
    """Written out with the weights themselves, the norm and the head, as in the authors' code."""
    model = biased_vit(**changes)
    images, targets = torch.randn(3, 3, *model.config.size), torch.tensor([0, 4, 2])
    layers = {}
    model(images, lambda name, x: layers.setdefault(name, x))
    grid, maps = model.token_grid(), []
    for i, block in enumerate(model.blocks):
        pooled = layers[f"blocks.{i}"].mean(dim=1)
        copies = len(model.config.readout)
        if model.config.final_norm == "tokens":
            pooled = model.norm(pooled).repeat(1, copies)
        else:
            pooled = model.norm(pooled.repeat(1, copies))
        score = model.head(pooled)[torch.arange(3), targets].sum()
        [gradient] = torch.autograd.grad(score, block.attn.used, retain_graph=True)
        maps.append(gradient.clamp(min=0).mean(dim=(1, 2))[:, grid.num_prefix :])
    expected = torch.stack(maps).mean(dim=0).unflatten(1, (grid.height, grid.width))
    found = apply(METHODS["legrad"], model, images, targets)
    assert torch.allclose(found, expected, atol=1e-6 * expected.max().item())


@pytest.mark.parametrize("model", [small_vit(), small_cnn(block="residual", hidden=())], ids=["ViT", "CNN"])
def test_integrated_gradients_add_up_to_the_change_of_the_score(model):
    images = 0.5 * torch.randn(3, 3, *model.config.size)
    maps = attribute(model, images, "integrated-gradients", 2)
    with torch.no_grad():
        change = (model(images) - model(torch.zeros_like(images)))[:, 2]
    assert torch.allclose(maps.sum(dim=(1, 2)), change, rtol=0.03, atol=0.03 * change.abs().max().item())


def test_occlusion_is_the_fall_of_the_score():
    model = color_vit()
    images = red_and_blue(1)
    with torch.no_grad():
        hidden = images.clone()
        hidden[:, :, :4, :4] = 0
        fall = (model(images) - model(hidden))[0, 0]
    assert attribute(model, images, "occlusion", 0)[0, 0, 0].item() == pytest.approx(fall.item(), abs=1e-6)


def test_grad_cam_of_a_linear_readout_by_hand():
    # Mean over a 1x1 kernel's outputs, no hidden layer: the gradient of a score by a feature is its weight / area.
    model = small_cnn(widths=(4,), block="residual", hidden=())
    images = torch.randn(2, 3, 16, 16)
    features = vitrail.inspect(model, images).features[0]
    expected = torch.einsum("c,bchw->bhw", model.head[0].weight[3] / 256, features).clamp(min=0)
    assert torch.allclose(attribute(model, images, "grad-cam", 3), expected, atol=1e-6)


def test_controls_know_nothing_of_the_model():
    images = torch.randn(2, 3, 12, 12)
    for method in ("random", "centre"):
        assert torch.equal(attribute(small_vit(), images, method, 0), attribute(small_vit(depth=1), images, method, 0))
    centre = attribute(small_vit(), images, "centre", 0)[0]
    assert centre[5:7, 5:7].min() == centre.max()
    assert torch.allclose(centre, centre.flip(0))
    one, other = (attribute(small_vit(), images, "random", 0, seed) for seed in (1, 2))
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


def test_many_images_are_explained_a_few_at_a_time(monkeypatch):
    model = small_vit()
    images = torch.randn(7, 3, 12, 12)
    whole = {name: attribute(model, images, name, 1) for name in ("relevancy", "legrad", "rollout")}
    monkeypatch.setattr("vitrail.inspection.attribution._MOST_AT_ONCE", 1)
    for name, maps in whole.items():
        assert torch.allclose(attribute(model, images, name, 1), maps, atol=1e-5 * maps.abs().max().item())


def test_cells_are_ranked_by_the_patches_own_values():
    model = small_vit()
    images = torch.randn(2, 3, 12, 12)
    own = apply(METHODS["rollout"], model, images, torch.tensor([0, 0]))
    row = vitrail.inspect(model, images).rollout()[:, 0, 1:]
    assert torch.allclose(cell_means(own, (3, 3)), row, atol=1e-6)
    assert torch.allclose(enlarged(own, (12, 12)), attribute(model, images, "rollout", 0))


@pytest.mark.parametrize("method", VIT_METHODS)
def test_gradients_are_there_where_they_are_switched_off(method):
    model = small_vit()
    images = torch.randn(2, 3, 12, 12)
    expected = attribute(model, images, method, 1)
    with torch.inference_mode():
        assert torch.equal(attribute(model, images.clone(), method, 1), expected)


def test_every_image_has_a_random_map_of_its_own():
    images = torch.randn(5, 3, 12, 12)
    maps = attribute(small_vit(), images, "random", 0)
    assert len({tuple(one.flatten().tolist()) for one in maps}) == 5


def test_cells_are_patches_or_divide_the_image():
    assert cells(small_vit(image_size=(8, 20))) == (2, 5)
    assert cells(small_cnn()) == (8, 8)
    assert cells(small_cnn(), (28, 30)) == (7, 6)


@pytest.mark.parametrize("side", [3, 26, 29, 97])
def test_sides_that_cells_do_not_divide_have_cells_that_differ_by_a_pixel(side):
    count = cells(small_cnn(), (side, 16))[0]
    assert count == min(8, side)
    pixels = torch.bincount(cell_along(side, count), minlength=count)
    assert pixels.sum() == side
    assert pixels.max() - pixels.min() <= 1
    assert torch.equal(cell_along(24, 8), torch.arange(8).repeat_interleave(3))


def test_occlusion_of_a_side_that_is_prime_tells_its_cells_apart():
    images = torch.randn(1, 3, 29, 29)
    found = apply(METHODS["occlusion"], small_cnn(image_size=29), images, torch.tensor([0]))
    assert found.shape == (1, 8, 8)
    assert found.std() > 0


@pytest.mark.parametrize(
    ("model", "method", "target", "message"),
    [
        (small_vit(), "gradcam", 0, "unknown attribution method 'gradcam': did you mean grad-cam"),
        (small_cnn(), "rollout", 0, "rollout does not apply to a CNN: use one of grad-cam"),
        (small_vit(), "rollout", 5, "from 0 to 4"),
        (small_vit(), "rollout", [0, 1, 2], "one for all images or one for each"),
    ],
)
def test_what_cannot_be_explained_is_said(model, method, target, message):
    with pytest.raises(InputError, match=message):
        attribute(model, torch.randn(2, 3, *model.config.size), method, target)


def test_without_a_target_the_predicted_class_is_explained():
    model = small_vit()
    images = torch.randn(3, 3, 12, 12)
    capture = vitrail.inspect(model, images)
    predicted = vitrail.attribute(model, images, "relevancy", capture.logits.argmax(dim=1))
    assert torch.equal(vitrail.attribute(model, images, "relevancy"), predicted)
