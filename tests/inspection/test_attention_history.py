import numpy as np
import pytest
import torch
from planted import small_vit

import vitrail
from vitrail.data.preprocessing import Preprocessing
from vitrail.inspection import attention_history
from vitrail.runs.layout import ATTENTION

PREPROCESSING = Preprocessing((12, 12), 3, (0.5,) * 3, (0.25,) * 3)
IMAGE = np.random.default_rng(0).integers(0, 256, (3, 12, 12), np.uint8)


def test_every_epoch_adds_what_the_last_layer_looks_at(tmp_path):
    models = [small_vit(), small_vit(pos_init_std=0.5)]
    for epoch, model in enumerate(models, 1):
        attention_history.add_epoch(tmp_path, epoch, model, IMAGE, PREPROCESSING)
    found = attention_history.read(tmp_path)
    assert found.epochs.tolist() == [1, 2]
    assert np.array_equal(found.image, IMAGE)
    inputs = PREPROCESSING.normalize(torch.from_numpy(IMAGE)[None])
    for maps, model in zip(found.maps, models, strict=True):
        expected = vitrail.inspect(model, inputs).class_attention(-1)[0, 0].numpy()
        assert np.allclose(maps, expected, atol=1e-3)


def test_a_run_that_goes_on_from_an_earlier_checkpoint_replaces_later_epochs(tmp_path):
    for epoch in (1, 2, 3, 2):
        attention_history.add_epoch(tmp_path, epoch, small_vit(), IMAGE, PREPROCESSING)
    assert attention_history.read(tmp_path).epochs.tolist() == [1, 2]


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_a_damaged_record_begins_anew(damage, tmp_path):
    attention_history.add_epoch(tmp_path, 1, small_vit(), IMAGE, PREPROCESSING)
    path = tmp_path / ATTENTION
    path.write_bytes(path.read_bytes()[:-7] if damage is None else damage)
    assert attention_history.read(tmp_path) is None
    attention_history.add_epoch(tmp_path, 2, small_vit(), IMAGE, PREPROCESSING)
    assert attention_history.read(tmp_path).epochs.tolist() == [2]
