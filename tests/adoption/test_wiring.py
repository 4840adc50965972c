"""How far an adoption is known to be right: compared with the original, assumed, or of a time that did not say."""

import dataclasses
import importlib
import json

import foreign
import numpy as np
import pytest
import torch
from foreign import CLASSES, HF, adopt_with_report, hf_model, noisy, of_kind, timm_vit, torchvision_vit
from PIL import Image
from safetensors.torch import save_file

import vitrail
from vitrail.adoption import adopt
from vitrail.adoption.classes import read_class_names
from vitrail.adoption.sources import read
from vitrail.adoption.verification import verified
from vitrail.cli import run
from vitrail.errors import InputError
from vitrail.report.explanation_page import explanation_page
from vitrail.runs.adoption import Adoption


@pytest.mark.parametrize(
    "build", [timm_vit, lambda: hf_model("Dinov2Model"), torchvision_vit], ids=["timm", "hf", "tv"]
)
def test_an_object_is_compared_and_left_as_it_was(build):
    theirs = build().train()
    before = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    if build is torchvision_vit:
        torch.nn.init.normal_(theirs.heads.head.weight)
        before = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    ours, report = adopt_with_report(theirs)
    assert of_kind(report, "verified")
    assert ours.adoption.wiring == "verified"
    assert all(module.training for module in theirs.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in theirs.state_dict().items())


def test_another_output_than_the_originals_is_refused():
    """A hook, as any part that no converter looks at, changes what the original answers."""
    theirs = timm_vit()
    theirs.blocks[0].register_forward_hook(lambda module, inputs, output: output * 1.01)
    with pytest.raises(InputError, match=r"outputs would be up to .* off") as error:
        adopt(theirs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["num_heads", "norm_eps"])
def test_wrong_wirings_are_noticed(name):
    model = read(timm_vit(), None)
    wrong = dataclasses.replace(model.config, **{name: {"num_heads": 6, "norm_eps": 1e-2}[name]})
    with pytest.raises(InputError, match="outputs would be"):
        verified(dataclasses.replace(model, config=wrong))


def test_where_there_is_nothing_to_compare_it_is_assumed():
    theirs = timm_vit()
    torch.nn.init.zeros_(theirs.head.weight)
    ours, _ = adopt_with_report(theirs)
    assert ours.adoption.wiring == "assumed"


def test_a_head_of_zeros_is_said():
    """As Google's files before fine-tuning have it."""
    theirs = timm_vit()
    torch.nn.init.zeros_(theirs.head.weight)
    torch.nn.init.zeros_(theirs.head.bias)
    _, report = adopt_with_report(theirs)
    assert any("never trained: it is all zeros" in str(row) for row in of_kind(report, "assumed"))


@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, torch.optim.swa_utils.AveragedModel])
def test_what_people_train_in_is_taken_off(wrap):
    assert adopt(wrap(timm_vit())).adoption.wiring == "verified"


@pytest.mark.parametrize("kind", ["ViTMAEModel", "ViTMAEForPreTraining", "ViTMSNModel", "ViTMSNForImageClassification"])
@torch.no_grad()
def test_mae_and_msn(kind, tmp_path):
    """As an object, a folder and a file; patches are hidden at random in MAE, so the class token is compared."""
    library = foreign.transformers
    decoder = {f"decoder_{name}": 16 for name in ("hidden_size", "intermediate_size")}
    config = getattr(library, kind).config_class(
        **HF["ViTModel"][1], **decoder, decoder_num_hidden_layers=1, decoder_num_attention_heads=2
    )
    theirs = noisy(getattr(library, kind)(config))
    theirs.save_pretrained(tmp_path)
    made = [adopt(source) for source in (theirs, tmp_path, tmp_path / "model.safetensors")]
    assert [of.adoption.wiring for of in made] == ["verified", "verified", "assumed"]
    images = foreign.pictures((32, 32))
    first, second, third = (of.model(images) for of in made)
    torch.testing.assert_close(second, first, atol=1e-5, rtol=0)
    # Of MSN's larger epsilon nothing remains in the tensors.
    torch.testing.assert_close(third, first, atol=1e-3 if "MSN" in kind else 1e-5, rtol=0)
    assert getattr(theirs.config, "mask_ratio", 0.75) == 0.75


class TestFolders:
    def test_without_its_library_it_is_refused(self, tmp_path, monkeypatch):
        hf_model("ViTForImageClassification").save_pretrained(tmp_path)
        monkeypatch.setitem(__import__("sys").modules, "transformers", None)
        with pytest.raises(InputError, match="transformers is not installed"):
            adopt(tmp_path)
        (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit_tiny_patch16_224"}))
        monkeypatch.setitem(__import__("sys").modules, "timm", None)
        with pytest.raises(InputError, match="timm is not installed"):
            adopt(tmp_path)

    def test_in_several_files(self, tmp_path):
        theirs = hf_model("ViTForImageClassification")
        theirs.save_pretrained(tmp_path, max_shard_size="500KB")
        parts = sorted(tmp_path.glob("model-*.safetensors"))
        assert len(parts) > 2
        ours = adopt(tmp_path)
        with torch.no_grad():
            images = foreign.pictures((32, 32))
            assert torch.allclose(ours.model(images), theirs(images).logits, atol=1e-5)
        parts[0].unlink()
        with pytest.raises(InputError, match=f"names {parts[0].name}, which .* does not hold"):
            adopt(tmp_path)

    def test_of_timm_in_another_shape(self, tmp_path):
        """Its own arguments say it; without them the image size, or a square is taken and said."""
        timm, save_for_hf = foreign.timm, importlib.import_module("timm.models").save_for_hf
        theirs = noisy(timm.create_model("vit_tiny_patch16_224", depth=1, img_size=(32, 128), num_classes=3))
        save_for_hf(theirs, tmp_path, safe_serialization=True)
        assert adopt(tmp_path).model.config.size == (32, 128)
        with pytest.raises(InputError, match="3 attention heads, not 6"):
            adopt(tmp_path, num_heads=6)
        config = json.loads((tmp_path / "config.json").read_text())
        del config["model_args"], config["pretrained_cfg"]["input_size"]
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert adopt(tmp_path, image_size=(32, 128)).model.config.size == (32, 128)
        square, report = adopt_with_report(tmp_path)
        assert square.model.config.size == (64, 64)
        assert "positions of 4 x 4 patches: neither" in str(of_kind(report, "assumed")[0])

    def test_without_a_named_architecture_it_is_the_bare_model(self, tmp_path):
        hf_model("ViTModel").save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        del config["architectures"]
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert adopt(tmp_path).adoption.wiring == "verified"

    def test_an_adapter(self, tmp_path):
        (tmp_path / "adapter_config.json").write_text("{}")
        with pytest.raises(InputError, match="is an adapter"):
            adopt(tmp_path)

    def test_names_for_another_number_of_classes(self, tmp_path):
        hf_model("ViTForImageClassification").save_pretrained(tmp_path)
        config = json.loads((tmp_path / "config.json").read_text())
        config["id2label"] = {str(i): f"name {i}" for i in range(5)}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(InputError, match=r"names 5 classes, but its head has 7"):
            adopt(tmp_path)


def test_positions_of_a_rectangle(tmp_path):
    """Of 64 positions nothing says whether they lie 4 x 16 or 8 x 8: as the image size has it, or else a square."""
    theirs = timm_vit(img_size=(32, 128))
    path = tmp_path / "a.safetensors"
    save_file(theirs.state_dict(), path)
    ours, report = adopt_with_report(path, image_size=(32, 128))
    images = foreign.pictures((32, 128))
    with torch.no_grad():
        torch.testing.assert_close(ours.model(images), theirs(images), atol=1e-5, rtol=0)
    assert not of_kind(report, "resampled")
    assert "4 x 16 patches" in str(of_kind(report, "assumed")[0])
    square, report = adopt_with_report(path)
    assert square.model.config.size == (64, 64)
    assert "8 x 8 patches" in str(of_kind(report, "assumed")[0])


class TestRecord:
    @pytest.fixture(scope="class")
    @classmethod
    def adopted(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("adopted")
        theirs = timm_vit(num_classes=2)
        adopt(theirs).save(folder / "verified")
        save_file(theirs.state_dict(), folder / "a.safetensors")
        adopt(folder / "a.safetensors").save(folder / "assumed")
        adopt(theirs).save(folder / "unrecorded")
        info = folder / "unrecorded" / "run.json"
        stored = json.loads(info.read_text())
        del stored["adoption"]
        info.write_text(json.dumps(stored))
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "a.png")
        return folder

    @pytest.mark.parametrize("wiring", ["verified", "assumed", "unrecorded"])
    def test_it_is_kept_and_shown(self, wiring, adopted, tmp_path, capsys):
        directory = adopted / wiring
        classifier = vitrail.load(directory)
        assert classifier.adoption.wiring == wiring
        classifier.save(tmp_path / "again")
        assert vitrail.load(tmp_path / "again").adoption == classifier.adoption
        assert f"Adopted weights, {wiring}" in explanation_page("a", [], (), None, adoption=classifier.adoption)
        assert run(["report", str(directory)]) == 2
        assert wiring in capsys.readouterr().err

    def test_explain_and_evaluate_say_it(self, adopted, tmp_path, capsys):
        directory, out = str(adopted / "assumed"), tmp_path / "explained"
        assert run(["explain", directory, str(adopted / "a.png"), "--methods", "rollout", "--out", str(out)]) == 0
        assert "Adopted weights, assumed" in (out / "explanation.html").read_text()
        for name in ("class 0", "class 1"):
            (tmp_path / "data" / name).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(np.full((9, 9, 3), 40 * i, np.uint8)).save(tmp_path / "data" / name / f"{i}.png")
        capsys.readouterr()
        assert run(["evaluate", directory, "--data", str(tmp_path / "data")]) == 0
        assert "adopted: this state dict (by timm's names); assumed: " in capsys.readouterr().out

    def test_a_trained_model_that_is_saved_is_not_adopted(self, adopted, tmp_path):
        classifier = dataclasses.replace(vitrail.load(adopted / "assumed"), adoption=None)
        classifier.save(tmp_path / "saved")
        assert vitrail.load(tmp_path / "saved").adoption is None

    @pytest.mark.parametrize("stored", [{}, {"wiring": "sworn"}, []])
    def test_a_damaged_record(self, stored):
        with pytest.raises(ValueError, match="adoption does not say"):
            Adoption.of({"adoption": stored})


class TestClassNames:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.txt", "leaf\nnut\n\n"),
            ("a.csv", "\ufeffleaf\r\nnut"),
            ("a.json", '["leaf", "nut"]'),
            ("a.json", '{"1": "nut", "0": "leaf"}'),
            ("a.json", '{"0": ["n1", "leaf"], "1": ["n2", "nut"]}'),
            ("a.json", '{"nut": 1, "leaf": 0}'),
            ("a.json", '{"id2label": {"0": "leaf", "1": "nut"}}'),
        ],
    )
    def test_forms(self, name, text, tmp_path):
        (tmp_path / name).write_text(text)
        assert read_class_names(tmp_path / name) == ("leaf", "nut")

    @pytest.mark.parametrize("text", ['{"0": "a", "2": "b"}', '{"a": 0, "b": 0}', "[1, 2]", "3", "[", '"ab"', "[[]]"])
    def test_other_forms_are_refused(self, text, tmp_path):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(InputError, match="does not name classes: they are one name per line, or JSON"):
            read_class_names(tmp_path / "a.json")

    def test_names_of_an_adopted_model(self, tmp_path, capsys):
        path, names = tmp_path / "a.safetensors", tmp_path / "names.txt"
        save_file(timm_vit().state_dict(), path)
        names.write_text("\n".join(["crane"] * 2 + [f"name {i}" for i in range(CLASSES - 2)]))
        out = tmp_path / "out"
        assert run(["adopt", str(path), "--classes", str(names), "--out", str(out)]) == 0
        assert vitrail.load(out).class_names[:3] == ("crane", "crane (2)", "name 0")
        for wrong, message in [("a\nb", "has 7 classes, but classes (--classes) gives 2 names"), (None, "is no file")]:
            names.write_text(wrong) if wrong else names.unlink()
            capsys.readouterr()
            assert run(["adopt", str(path), "--classes", str(names), "--out", str(tmp_path / "no")]) == 2
            assert message in capsys.readouterr().err
        with pytest.raises(InputError, match="has no head, and so no classes"):
            adopt(timm_vit(num_classes=0), classes=["a"] * 192)
