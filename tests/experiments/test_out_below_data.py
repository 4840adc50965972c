"""A run's own pictures never come to lie among the images that it learns from."""

from pathlib import Path

import pytest

from vitrail.data.argument import refuse_below_data
from vitrail.errors import InputError


def test_an_out_below_the_images_is_refused(tmp_path, monkeypatch):
    images = tmp_path / "images"
    images.mkdir()
    (tmp_path / "link").symlink_to(images)
    for out in (images / "run", images, tmp_path / "link" / "run"):
        with pytest.raises(InputError, match="lies in the folder of the images"):
            refuse_below_data(out, str(images))
    monkeypatch.chdir(images)
    with pytest.raises(InputError, match="lies in the folder of the images"):
        refuse_below_data(Path("run"), ".")


def test_an_out_elsewhere_is_taken(tmp_path):
    (tmp_path / "images").mkdir()
    refuse_below_data(tmp_path / "images-runs", str(tmp_path / "images"))
    refuse_below_data(tmp_path / "run", "digits")
    refuse_below_data(None, str(tmp_path / "images"))
