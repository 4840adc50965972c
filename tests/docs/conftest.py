"""The documents' own code is imported from docs/, as the documents themselves do, with its shapes checked."""

import sys
from pathlib import Path

from jaxtyping import install_import_hook

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
install_import_hook("annotated", "beartype.beartype")
