import os
from pathlib import Path

import pytest


@pytest.fixture
def data_dir(tmp_path):
    """Where a test's decoded images go."""
    return tmp_path / "vitrail-data"


@pytest.fixture(scope="session")
def real_data():
    """A folder with real data sets that are no part of the project."""
    folder = Path(os.environ.get("VITRAIL_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder} (set VITRAIL_TEST_DATA)")
    return folder
