"""Files, folders and names: the same logits as the original without its library, or one line that says why not."""

import json
import re
import subprocess
import sys

import foreign
import numpy as np
import pytest
import torch
from foreign import (
    CLASSES,
    HEADS,
    HF,
    TIMM,
    WIDTH,
    adopt_with_report,
    google_arrays,
    hf_model,
    hf_outputs,
    of_kind,
    pictures,
    timm_vit,
    torchvision_vit,
)
from PIL import Image
from safetensors.torch import load_file, save_file

from vitrail.adoption import adopt, hub, optional
from vitrail.adoption.origin import standard_heads
from vitrail.errors import InputError

CLOSE = {"atol": 1e-5, "rtol": 0}


def save(tensors, path):
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)
    return path


@torch.no_grad()
def same(ours, theirs, size=(32, 32)):
    images = pictures(size, ours.model.config.in_channels)
    expected = theirs(images)
    if not isinstance(expected, torch.Tensor):
        expected = hf_outputs(theirs, images, native=True)
        expected = expected if expected.ndim == 2 else expected[:, 0]
    torch.testing.assert_close(ours.model(images), expected, **CLOSE)


# What tensors alone do not tell: the question, and a published model that is wired so.
DOUBTS = {
    "no positions": ("probably rotary", None),
    "no class position and registers": ("as no published model", None),
    "no bias in qkv": (r"attn\.qkv\.bias.*rpn_224", "vit_base_patch16_224_miil"),
    "gap": ("12 or 16 heads, and GELU or its tanh", "vit_base_patch16_gap_224"),
    "gap, norm behind": ("as no published model", None),
    "class token unread and unplaced": ("as no published model", None),
    "registers with positions": ("as no published model", None),
    "swiglu in two": ("any activation", None),
}


class TestStateDicts:
    # Of a norm before the mean of the patches, and of an unusual epsilon, nothing remains in the tensors.
    @pytest.mark.parametrize(
        "kind", [k for k in TIMM if k not in ("large epsilon", "class token unread, norm before", *DOUBTS)]
    )
    def test_timm(self, kind, tmp_path):
        theirs = timm_vit(**TIMM[kind])
        size = theirs.patch_embed.img_size
        told = {"image_size": size} if kind == "rectangle" else {}
        ours, report = adopt_with_report(save(theirs.state_dict(), tmp_path / "model.safetensors"), **told)
        same(ours, theirs, size)
        assert "3 heads, norm_eps 1e-06" in str(of_kind(report, "assumed")[0])
        of_deit = {"dist_token", "blocks.0.ls1.gamma"} & theirs.state_dict().keys()
        assert (ours.preprocessing.mean[0], ours.preprocessing.crop) == (0.485 if of_deit else 0.5, 0.9)

    @pytest.mark.parametrize("kind", DOUBTS)
    def test_what_could_be_wired_in_several_ways_is_asked(self, kind, tmp_path):
        theirs = timm_vit(**TIMM[kind])
        path = save(theirs.state_dict(), tmp_path / "model.safetensors")
        doubt, like = DOUBTS[kind]
        with pytest.raises(InputError, match=doubt) as error:
            adopt(path, image_size=theirs.patch_embed.img_size)
        assert "\n" not in str(error.value)
        if like is not None:
            ours, report = adopt_with_report(path, like=f"timm:{like}", num_heads=HEADS)
            same(ours, theirs)
            assert of_kind(report, "verified")

    def test_like_is_of_a_model_with_these_tensors(self, tmp_path):
        path = save(timm_vit().state_dict(), tmp_path / "model.safetensors")
        for like, message in [
            ("vit_base_patch16_224", "timm:NAME"),
            ("timm:vit_nothing", "no model 'vit_nothing'"),
            ("timm:vit_small_patch16_rope_ape_224", "Eva, which is not known"),
            ("timm:deit3_small_patch16_224", "positions for 17 patches"),
            ("timm:vit_small_patch16_36x1_224", r"not that of timm:vit_small.*lacks blocks\.0\.branch1"),
            ("timm:eva_large_patch14_196", "one has norm where the other has fc_norm"),
        ]:
            with pytest.raises(InputError, match=message):
                adopt(path, like=like)
        for source in (timm_vit(), "timm:vit_tiny_patch16_224", tmp_path):
            with pytest.raises(InputError, match=r"like .*is for a file"):
                adopt(source, like="timm:vit_tiny_patch16_224")

    @pytest.mark.parametrize("kind", [kind for kind in HF if "epsilon" not in kind and "bias" not in kind])
    @pytest.mark.parametrize("generation", ["in memory", "in files"])
    def test_hugging_face(self, kind, generation, tmp_path):
        theirs = hf_model(kind)
        if generation == "in files":
            theirs.save_pretrained(tmp_path)
        else:
            save(theirs.state_dict(), tmp_path / "model.safetensors")
        size = (24, 40) if "rectangle" in kind else (32, 32)
        same(adopt(tmp_path / "model.safetensors", image_size=size), theirs, size)

    @pytest.mark.parametrize("changes", [{}, {"representation_size": WIDTH}])
    def test_torchvision(self, changes, tmp_path):
        theirs = torchvision_vit(**changes)
        same(adopt(save(theirs.state_dict(), tmp_path / "model.safetensors")), theirs)

    def test_the_names_of_dinov2s_authors(self, tmp_path):
        """Class token with a position, registers without; their own names for SwiGLU and the mask token."""
        theirs = timm_vit(**TIMM["dinov2, registers"], mlp_layer=foreign.SwiGLUPacked, act_layer=torch.nn.SiLU)
        state = theirs.state_dict()
        position = torch.full((1, 1, WIDTH), 0.5)
        state["pos_embed"] = torch.cat([position, state["pos_embed"]], dim=1)
        state["cls_token"] = state["cls_token"] - position
        names = {"reg_token": "register_tokens", "mlp.fc1": "mlp.w12", "mlp.fc2": "mlp.w3"}
        for old, new in names.items():
            state = {name.replace(old, new): tensor for name, tensor in state.items()}
        state["mask_token"] = torch.zeros(1, WIDTH)
        ours, report = adopt_with_report(save(state, tmp_path / "dinov2.safetensors"))
        same(ours, theirs)
        assert len(of_kind(report, "dropped")) == 1

    def test_the_names_of_deits_authors(self, tmp_path):
        theirs = timm_vit(**TIMM["deit-iii"])
        state = {re.sub(r"ls(\d)\.gamma", r"gamma_\1", name): tensor for name, tensor in theirs.state_dict().items()}
        torch.save({"model": state}, tmp_path / "deit.pth")
        with pytest.raises(InputError, match=r"rotary ones too.*--like"):
            adopt(tmp_path / "deit.pth", allow_pickle=True)
        same(adopt(tmp_path / "deit.pth", allow_pickle=True, like="timm:deit3_small_patch16_224", num_heads=3), theirs)

    def test_a_hidden_layer_before_the_head(self, tmp_path):
        """As older versions of timm stored it."""
        theirs = timm_vit()
        state = theirs.state_dict()
        state["pre_logits.fc.weight"], state["pre_logits.fc.bias"] = torch.randn(WIDTH, WIDTH), torch.randn(WIDTH)
        ours = adopt(save(state, tmp_path / "model.safetensors")).model
        with torch.no_grad():
            images = pictures((32, 32))
            features = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
            hidden = torch.tanh(features @ state["pre_logits.fc.weight"].T + state["pre_logits.fc.bias"])
            torch.testing.assert_close(ours(images), theirs.head(hidden), **CLOSE)

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"pre_norm": True}, "norm_pre.*as in CLIP"),
            ({"qk_norm": True}, "q_norm.*normalised queries"),
            ({"global_pool": "map"}, "attention pooling"),
            ({"scale_mlp_norm": True}, "inside of a block"),
            ({"block_fn": foreign.timm.models.vision_transformer.ParallelThingsBlock}, "parallel blocks"),
        ],
    )
    def test_what_is_not_known_is_named(self, changes, found, tmp_path):
        path = save(timm_vit(**changes).state_dict(), tmp_path / "model.safetensors")
        with pytest.raises(InputError, match=rf"{found}.*known are timm's"):
            adopt(path)

    def test_image_size_is_a_change_where_the_native_one_is_known(self, tmp_path):
        path = save(timm_vit().state_dict(), tmp_path / "model.safetensors")
        ours, report = adopt_with_report(path, image_size=48)
        assert ours.model.config.grid == (6, 6)
        assert len(of_kind(report, "resampled")) == 1

    def test_heads_are_those_of_the_width_or_as_given(self, tmp_path):
        assert [standard_heads(width, None) for width in (192, 384, 768, 1024, 1280, 1408, 1536)] == [
            3, 6, 12, 16, 16, 16, 24
        ]  # fmt: skip
        theirs = timm_vit(embed_dim=48, num_heads=2)
        path = save(theirs.state_dict(), tmp_path / "model.safetensors")
        with pytest.raises(InputError, match=r"width of 48 is not a standard one.*--num-heads"):
            adopt(path)
        same(adopt(path, num_heads=2), theirs)

    def test_no_library_is_needed(self, tmp_path):
        """And none is imported, by adopting all of these."""
        models = {
            "timm": timm_vit(),
            "hf": hf_model("ViTForImageClassification"),
            "torchvision": torchvision_vit(),
        }
        for name, model in models.items():
            save(model.state_dict(), tmp_path / f"{name}.safetensors")
        np.savez(tmp_path / "google.npz", **google_arrays(models["timm"], "vit"))
        script = (
            "import sys\n"
            "for name in ('timm', 'transformers', 'torchvision', 'huggingface_hub'): sys.modules[name] = None\n"
            "from vitrail.adoption import adopt\n"
            "print([len(adopt(path).class_names) for path in sys.argv[1:]])\n"
        )
        files = [str(tmp_path / name) for name in (*(f"{name}.safetensors" for name in models), "google.npz")]
        done = subprocess.run([sys.executable, "-c", script, *files], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == str([CLASSES] * 4)


class TestGoogle:
    @pytest.mark.parametrize(
        ("generation", "changes"),
        [
            ("vit", {}),
            ("vit", {"num_classes": 0}),
            ("vit", {"class_token": False, "global_pool": "avg", "fc_norm": False}),
            ("big_vision", {"no_embed_class": True}),
            ("big_vision", {"class_token": False, "global_pool": "avg", "fc_norm": False}),
            ("loop", {"no_embed_class": True}),
        ],
    )
    def test_timm_loads_the_same_file_to_the_same_logits(self, generation, changes, tmp_path):
        np.savez(tmp_path / "vit.npz", **google_arrays(timm_vit(**changes), generation))
        # Nothing of the model that was saved is left in this one, so that the file alone decides.
        theirs = foreign.noisy(timm_vit(**changes), seed=5)
        theirs.load_pretrained(str(tmp_path / "vit.npz"))
        ours = adopt(tmp_path / "vit.npz")
        same(ours, theirs)
        assert ours.preprocessing.mean == ours.preprocessing.std == (0.5, 0.5, 0.5)
        assert ours.preprocessing.image_size == (32, 32)

    def test_a_hidden_layer_before_the_head_is_used(self, tmp_path):
        """timm ignores it; the code that the files come from applies it, and tanh."""
        theirs = timm_vit()
        generator = np.random.default_rng(0)
        kernel, bias = generator.normal(size=(WIDTH, WIDTH)), generator.normal(size=WIDTH)
        arrays = {**google_arrays(theirs, "vit"), "pre_logits/kernel": kernel, "pre_logits/bias": bias}
        np.savez(tmp_path / "vit.npz", **arrays)
        ours = adopt(tmp_path / "vit.npz").model
        with torch.no_grad():
            images = pictures((32, 32))
            features = theirs.forward_head(theirs.forward_features(images), pre_logits=True)
            hidden = torch.tanh(features @ torch.from_numpy(kernel).float() + torch.from_numpy(bias).float())
            torch.testing.assert_close(ours(images), theirs.head(hidden), **CLOSE)

    @pytest.mark.parametrize(
        ("name", "meaning"),
        [
            ("conv_root/kernel", "hybrid"),
            ("MAPHead_0/probe", "attention pooling"),
            ("Transformer/encoderblock_0/gate", "gate"),
        ],
    )
    def test_what_is_not_known_is_named(self, name, meaning, tmp_path):
        np.savez(tmp_path / "vit.npz", **google_arrays(timm_vit(), "vit"), **{name: np.zeros(3, np.float32)})
        with pytest.raises(InputError, match=f"{meaning}.*known are timm's"):
            adopt(tmp_path / "vit.npz")

    def test_pickled_arrays_are_refused(self, tmp_path):
        np.savez(tmp_path / "vit.npz", cls=np.array([{"a": 1}], dtype=object))
        with pytest.raises(InputError, match="cannot be read as arrays"):
            adopt(tmp_path / "vit.npz")


def removed(tensors):
    for name in tensors:
        yield name, {other: tensor for other, tensor in tensors.items() if other != name}


@pytest.mark.parametrize("family", ["timm", "timm, registers", "hf", "dinov2", "deit", "torchvision", "google"])
def test_every_tensor_is_needed_and_none_may_be_left_over(family, tmp_path):
    """Without any one of them, with any one cut short, or with one more, it is an error that says so."""
    hf = {"hf": "ViTForImageClassification", "dinov2": "Dinov2ForImageClassification, SwiGLU", "deit": "DeiTModel"}
    path = tmp_path / "model.safetensors"
    if family in hf:
        model = hf_model(hf[family])
        model.save_pretrained(tmp_path)
        tensors, path = load_file(path), tmp_path
    elif family == "google":
        tensors, path = google_arrays(timm_vit(), "vit"), tmp_path / "vit.npz"
    else:
        registers = TIMM["dinov2, registers"]
        model = torchvision_vit() if family == "torchvision" else timm_vit(**(registers if "," in family else {}))
        tensors = model.state_dict()

    def attempt(changed):
        if family == "google":
            np.savez(path, **changed)
        else:
            save(changed, tmp_path / "model.safetensors")
        adopt(path)

    # What a model can do without: masks, poolers, registers; and a timm ViT without a class token is one of means.
    spared = r".*(mask_token|pooler\..*|reg_token)"
    if "," in family:
        spared = "reg_token"
    for name, rest in removed(tensors):
        if re.fullmatch(spared, name):
            continue
        with pytest.raises(InputError, match=r"lacks|positions|has the shape|known are|like") as error:
            attempt(rest)
        assert "\n" not in str(error.value)
        if re.fullmatch(r".*(pos_embed.*|position_embeddings)", name):
            continue
        with pytest.raises(InputError, match=r"has the shape|fit together|positions|does not divide|8 x 7"):
            attempt({**tensors, name: tensors[name][..., :-1]})
    extra = torch.zeros(3) if family != "google" else np.zeros(3, np.float32)
    with pytest.raises(InputError, match=r"surprise.*known are timm's"):
        attempt({**tensors, "surprise": extra})


class TestFolders:
    def make(self, tmp_path, kind, **processor):
        theirs = hf_model(kind, id2label={i: f"name {i}" for i in range(CLASSES)})
        theirs.save_pretrained(tmp_path)
        if processor:
            (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
        return theirs

    def test_configuration_processor_and_names(self, tmp_path):
        mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
        theirs = self.make(
            tmp_path,
            "ViTForImageClassification, large epsilon",
            image_processor_type="ViTImageProcessor",
            size={"height": 32, "width": 32},
            image_mean=mean,
            image_std=std,
            resample=3,
        )
        ours = adopt(tmp_path)
        same(ours, theirs)
        assert ours.class_names == tuple(f"name {i}" for i in range(CLASSES))
        pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
        resized = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC)) / 255
        expected = torch.from_numpy((resized - mean) / std).permute(2, 0, 1)[None].float()
        torch.testing.assert_close(ours.prepare(pixels), expected, atol=0.03, rtol=0)

    def test_the_processors_own_pixels(self, tmp_path):
        """Through the whole of it: a picture of another shape, prepared by transformers, and by us."""
        foreign.transformers.BitImageProcessorPil(
            size={"shortest_edge": 64}, crop_size={"height": 48, "width": 48}, resample=3
        ).save_pretrained(tmp_path)
        processor = json.loads((tmp_path / "preprocessor_config.json").read_text())
        self.make(tmp_path, "Dinov2ForImageClassification", **processor)
        ours = adopt(tmp_path)
        assert (ours.preprocessing.image_size, ours.preprocessing.crop) == ((48, 48), 0.75)
        assert ours.model.config.size == (32, 32)
        gradient = np.add.outer(np.arange(90), np.arange(150))[..., None] * np.array([1, 0.8, 0.5])
        picture = Image.fromarray(gradient.astype(np.uint8))
        expected = foreign.transformers.BitImageProcessorPil.from_pretrained(tmp_path)(picture, return_tensors="pt")
        torch.testing.assert_close(ours.prepare(picture), expected["pixel_values"], atol=0.06, rtol=0)

    def test_a_stretched_picture_is_cropped_too(self, tmp_path):
        """As published DeiT models come: stretched to 256, of which the middle 224 are taken."""
        self.make(tmp_path, "ViTForImageClassification", feature_extractor_type="DeiTFeatureExtractor",
                  size=64, crop_size=48, resample=3, do_center_crop=True, image_mean=[0.5] * 3, image_std=[0.5] * 3)  # fmt: skip
        ours = adopt(tmp_path)
        gradient = np.add.outer(np.arange(90), np.arange(150))[..., None] * np.array([1, 0.8, 0.5])
        picture = Image.fromarray(gradient.astype(np.uint8))
        cut = np.asarray(picture.resize((64, 64), Image.Resampling.BICUBIC))[8:56, 8:56] / 255
        expected = torch.from_numpy((cut - 0.5) / 0.5).permute(2, 0, 1)[None].float()
        torch.testing.assert_close(ours.prepare(picture), expected, atol=0.06, rtol=0)

    @pytest.mark.parametrize(
        ("processor", "expected"),
        [
            ({"feature_extractor_type": "ViTFeatureExtractor", "size": 24}, ((24, 24), "stretch", 1.0, "bilinear")),
            ({"image_processor_type": "ViTImageProcessor"}, ((224, 224), "stretch", 1.0, "bilinear")),
            ({"image_processor_type": "DeiTImageProcessorFast"}, ((224, 224), "stretch", 0.875, "bicubic")),
            ({"feature_extractor_type": "DeiTFeatureExtractor", "size": 32, "crop_size": 24, "resample": 1},
             ((24, 24), "stretch", 0.75, "bicubic")),
            ({"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}},
             ((224, 224), "crop", 0.875, "bicubic")),
            ({"image_processor_type": "BitImageProcessor", "do_resize": False, "resample": 0},
             ((32, 32), "crop", 1.0, "bilinear")),
        ],
    )  # fmt: skip
    def test_processors(self, processor, expected, tmp_path):
        self.make(tmp_path, "ViTForImageClassification", **processor)
        made = adopt(tmp_path).preprocessing
        assert (made.image_size, made.fit, made.crop, made.interpolation) == expected

    def test_pixels_that_are_not_rescaled_or_not_normalised(self, tmp_path):
        self.make(tmp_path, "ViTForImageClassification", do_rescale=False, image_mean=[127.5] * 3, image_std=[51.0] * 3)
        made = adopt(tmp_path).preprocessing
        assert made.mean == (0.5, 0.5, 0.5)
        assert made.std == pytest.approx((0.2, 0.2, 0.2))
        (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": False}))
        made = adopt(tmp_path).preprocessing
        assert (made.mean, made.std) == ((0.0,) * 3, (1.0,) * 3)

    def test_without_a_processor_the_familys_own_is_assumed_and_said(self, tmp_path):
        self.make(tmp_path, "DeiTForImageClassification")
        ours, report = adopt_with_report(tmp_path)
        assert (ours.preprocessing.crop, ours.preprocessing.mean[0]) == (0.875, 0.485)
        assert "published DeiT" in str(of_kind(report, "assumed")[0])

    def test_dinov2_sees_smaller_pictures_than_its_positions_are_of(self, tmp_path):
        self.make(tmp_path, "Dinov2ForImageClassification")
        ours = adopt(tmp_path)
        assert ours.model.config.size == (32, 32)
        assert (ours.preprocessing.image_size, ours.preprocessing.crop) == ((224, 224), 0.875)

    def test_timms_folders(self, tmp_path):
        """What timm pushes to the hub: config.json with the architecture, the pictures and the names."""
        theirs = timm_vit(**TIMM["class token unread, norm before"])
        described = {"architecture": "vit_tiny_patch16_224", "global_pool": "avg", "label_names": list("abcdefg")}
        described["model_args"] = {"fc_norm": False, "img_size": 32}
        described["label_descriptions"] = {"a": "apple"}
        described["pretrained_cfg"] = {"mean": [0.1] * 3, "std": [0.2] * 3, "crop_mode": "squash", "crop_pct": 1.0}
        (tmp_path / "config.json").write_text(json.dumps(described))
        save(theirs.state_dict(), tmp_path / "model.safetensors")
        ours = adopt(tmp_path)
        same(ours, theirs)
        assert ours.class_names == ("apple", *"bcdefg")
        assert (ours.preprocessing.fit, ours.preprocessing.mean) == ("stretch", (0.1,) * 3)
        (tmp_path / "config.json").write_text(json.dumps({**described, "global_pool": "map"}))
        with pytest.raises(InputError, match=r"not that of timm:vit_tiny.*attn_pool"):
            adopt(tmp_path)
        (tmp_path / "config.json").write_text(json.dumps({**described, "architecture": "vit_small_patch16_rope_224"}))
        with pytest.raises(InputError, match=r"Eva.*known are timm's"):
            adopt(tmp_path)

    def test_damaged_configurations(self, tmp_path):
        self.make(tmp_path, "ViTForImageClassification")
        path = tmp_path / "config.json"
        config = json.loads(path.read_text())
        for name in ("hidden_size", "image_size"):
            path.write_text(json.dumps({k: v for k, v in config.items() if k != name}))
            with pytest.raises(InputError, match=f"lacks {name}"):
                adopt(tmp_path)
        for name, value in [("hidden_size", "wide"), ("num_attention_heads", 0), ("image_size", [1, 2, 3])]:
            path.write_text(json.dumps({**config, name: value}))
            with pytest.raises(InputError):
                adopt(tmp_path)
        path.write_text(json.dumps({**config, "model_type": "llama"}))
        with pytest.raises(InputError, match=r"type 'llama'.*known are timm's"):
            adopt(tmp_path)
        path.write_text("[")
        with pytest.raises(InputError, match=r"config\.json is damaged"):
            adopt(tmp_path)


class TestPicklesAndDamage:
    def test_a_pickle_needs_leave(self, tmp_path):
        theirs = timm_vit()
        for name in ("model.pth", "model.bin", "model.pt"):
            torch.save(theirs.state_dict(), tmp_path / name)
            with pytest.raises(InputError, match=r"run any code.*--allow-pickle"):
                adopt(tmp_path / name)
        same(adopt(tmp_path / "model.pth", allow_pickle=True), theirs)

    def test_code_in_a_pickle_never_runs(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (open, (str(tmp_path / "harm"), "w"))

        torch.save({"patch_embed.proj.weight": Evil()}, tmp_path / "model.pth")
        with pytest.raises(InputError, match="more than tensors"):
            adopt(tmp_path / "model.pth", allow_pickle=True)
        assert not (tmp_path / "harm").exists()

    @pytest.mark.parametrize("name", ["a.safetensors", "a.npz", "a.pth"])
    def test_damaged_files(self, name, tmp_path):
        theirs, path = timm_vit(), tmp_path / name
        if name == "a.safetensors":
            save(theirs.state_dict(), path)
        elif name == "a.npz":
            np.savez_compressed(path, **google_arrays(theirs, "vit"))
        else:
            torch.save(theirs.state_dict(), path)
        whole = path.read_bytes()
        half = len(whole) // 2
        for damaged in (b"", b"not a model", whole[:half], whole[:half] + bytes(50) + whole[half + 50 :]):
            path.write_bytes(damaged)
            # Fifty altered bytes of plain numbers are noticed by no format, and hurt as little.
            if name == "a.npz" or len(damaged) < len(whole):
                with pytest.raises(InputError, match=re.escape(str(path))) as error:
                    adopt(path, allow_pickle=True)
                assert "\n" not in str(error.value)
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
        with pytest.raises(InputError, match=re.escape(str(path))):
            adopt(path, allow_pickle=True)

    def test_what_is_no_source(self, tmp_path):
        (tmp_path / "a.txt").touch()
        save({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
        save({"patch_embed.proj.weight": torch.zeros(2, 2)}, tmp_path / "ours.safetensors")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "run.json").touch()
        for source, message in [
            ("missing.npz", "does not exist: a source is timm:NAME"),
            ("a.txt", "not a model that can be read"),
            ("", "no config.json"),
            ("run", "a Vitrail run already"),
            ("other.safetensors", "has weight.*known are timm's"),
            ("ours.safetensors", "weights of a Vitrail run"),
        ]:
            with pytest.raises(InputError, match=message):
                adopt(str(tmp_path / source))
        with pytest.raises(InputError, match="random weights are for"):
            adopt(tmp_path / "other.safetensors", pretrained=False)


class TestNames:
    """The hub is not there in tests: what would be downloaded is put in its place."""

    @pytest.fixture
    def hub_files(self, tmp_path, monkeypatch):
        asked = []

        def file(repository, name):
            asked.append((repository, name))
            return tmp_path / name if (tmp_path / name).exists() else None

        monkeypatch.setattr(hub, "_hub_file", file)
        return tmp_path, asked

    @torch.no_grad()
    def test_timm(self, hub_files):
        folder, asked = hub_files
        theirs = foreign.noisy(foreign.timm.create_model("vit_tiny_patch16_224"))
        save(theirs.state_dict(), folder / "model.safetensors")
        ours = adopt("timm:vit_tiny_patch16_224")
        same(ours, theirs, (224, 224))
        assert asked == [("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k", "model.safetensors")]
        assert ours.class_names[:2] == ("tench, Tinca tinca", "goldfish, Carassius auratus")
        assert len(set(ours.class_names)) == 1000
        assert (ours.preprocessing.crop, ours.preprocessing.interpolation) == (0.9, "bicubic")

    def test_timm_with_random_weights(self, hub_files):
        ours, report = adopt_with_report("timm:deit_tiny_distilled_patch16_224", pretrained=False, num_classes=3)
        assert (hub_files[1], ours.model.config.readout) == ([], ("cls", "dist"))
        assert any("random" in row.what for row in of_kind(report, "newly initialised"))

    def test_only_a_pickle_on_the_hub(self, hub_files):
        folder, _ = hub_files
        with pytest.raises(InputError, match=r"no model.safetensors on the hub, only a pickle"):
            adopt("timm:vit_tiny_patch16_224")
        torch.save(foreign.timm.create_model("vit_tiny_patch16_224").state_dict(), folder / "pytorch_model.bin")
        adopt("timm:vit_tiny_patch16_224", allow_pickle=True)

    def test_timms_names_that_cannot_be_adopted(self, hub_files):
        with pytest.raises(InputError, match="timm has no model 'vit_nothing'"):
            adopt("timm:vit_nothing")
        with pytest.raises(InputError, match=r"attention pooling.*known are timm's"):
            adopt("timm:test_vit3")
        assert hub_files[1] == []

    def test_hugging_face(self, hub_files):
        folder, _ = hub_files
        with pytest.raises(InputError, match=r"no config\.json"):
            adopt("hf:someone/something")
        theirs = hf_model("Dinov2WithRegistersModel")
        theirs.save_pretrained(folder)
        same(adopt("hf:someone/something"), theirs)

    def test_the_hub_out_of_reach(self, monkeypatch):
        errors = pytest.importorskip("huggingface_hub.errors", reason="comes with transformers")

        def unreachable(*_, **__):
            raise errors.LocalEntryNotFoundError("no connection\nat all")

        monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
        for source in ("hf:someone/something", "timm:vit_tiny_patch16_224"):
            with pytest.raises(InputError, match="hub cannot be reached: check the name and the network") as error:
                adopt(source)
            assert "\n" not in str(error.value)

    def test_torchvision_absent_or_imported_already_is_left_alone(self, monkeypatch):
        assert optional.declare_missing_operators.__wrapped__() is None
        monkeypatch.delitem(sys.modules, "torchvision")
        monkeypatch.setattr(optional, "find_spec", lambda name: None)
        assert optional.declare_missing_operators.__wrapped__() is None

    def test_a_library_that_is_not_installed(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "timm", None)
        with pytest.raises(InputError, match=r"timm is not installed: .*pip install -e '\.\[adopt\]'"):
            adopt("timm:vit_tiny_patch16_224")
