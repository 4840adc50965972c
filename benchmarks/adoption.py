"""What becomes of every ViT of timm on every way in: as an object, as a file of weights alone, and as a hub's folder.

    python benchmarks/adoption.py [--out FILE] [--only NAME ...]

All names of timm's ViT, DeiT, EVA and BeiT modules, one block deep, in float32, at their own width, for images of 4 x 4
patches where they can be made so, with random weights and noise on every parameter, so that nothing is downloaded and
nothing agrees by chance. A model that was adopted is compared with the original, by a random image: the same within
`LIMIT` of the largest output, or WRONG. A file that is asked about is tried again with `like` (`--like timm:NAME`).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import re
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from vitrail import hardware
from vitrail.adoption import adopt
from vitrail.adoption.optional import optional
from vitrail.errors import InputError

MODULES = ("vision_transformer", "vision_transformer_hybrid", "deit", "eva", "beit")
ROUTES = ("object", "file", "like", "folder")
LIMIT = 1e-4
NOISE = 0.05


def one_block(name: str, **changes: Any) -> nn.Module:
    """timm's model of this name with random weights, one block deep, for 4 x 4 patches unless it cannot be."""
    timm = optional("timm")
    # Those with grouped queries have a count of keys for every block.
    changes |= {"depth": 1} | ({"num_kv_heads": 1} if "sapiens2" in name else {})
    patch = re.search(r"patch(\d+)", name)
    try:
        model: nn.Module = timm.create_model(name, img_size=4 * int(patch[1] if patch else 16), **changes)
    except (TypeError, ValueError, AssertionError, RuntimeError):
        model = timm.create_model(name, **changes)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=NOISE)
    return model.eval()


@torch.no_grad()
def outcome(theirs: nn.Module, source: Any, **options: Any) -> str:
    """same, asks: WHAT, refused: WHY, or WRONG: by how much."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            ours = adopt(source, **options).model
    except InputError as error:
        reason = str(error).split(", which is not known here")[0]
        return f"{'asks' if 'give ' in reason else 'refused'}: {reason}"
    images = torch.randn(1, ours.config.in_channels, *ours.config.size, generator=torch.Generator().manual_seed(1))
    expected, found = theirs(images), ours(images)
    if expected.shape != found.shape:
        return f"WRONG: outputs {tuple(found.shape)} for {tuple(expected.shape)}"
    share = ((found - expected).abs().max() / expected.abs().max()).item()
    return "same" if share <= LIMIT else f"WRONG: {share:.1e} of the largest output off"


def routes(name: str, theirs: nn.Module, folder: Path) -> dict[str, str]:
    """The outcome on each of `ROUTES`; `like` only where the file alone is asked about."""
    file = folder / "weights.safetensors"
    save_file({key: tensor.contiguous().clone() for key, tensor in theirs.state_dict().items()}, file)
    optional("timm.models").save_for_hf(theirs, folder / "hub", safe_serialization=True)
    found = {"object": outcome(theirs, theirs), "file": outcome(theirs, file)}
    if found["file"].startswith("asks"):
        found["like"] = outcome(theirs, file, like=f"timm:{name}")
    return {**found, "folder": outcome(theirs, folder / "hub")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "adoption.json")
    parser.add_argument(
        "--only", nargs="*", default=[], help="words, one of which a name must contain; FILE keeps its other rows"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    timm, rows = optional("timm"), []
    names = [(module, name) for module in MODULES for name in timm.list_models(module=module)]
    for module, name in names:
        if options.only and not any(word in name for word in options.only):
            continue
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"module": module, "name": name, **routes(name, one_block(name), Path(folder))})
        gc.collect()
        print(name, *(f"{route}: {rows[-1][route]}" for route in ROUTES if route in rows[-1]), sep="\n  ", flush=True)
    for route in ROUTES:
        print(route, dict(Counter(row[route].split(":")[0] for row in rows if route in row)))
    versions = {name: version(name) for name in ("torch", "timm")}
    about = {"command": "python benchmarks/adoption.py", "machine": hardware.describe(torch.device("cpu"))}
    record = {**about, "versions": versions, "limit": LIMIT, "noise": NOISE, "rows": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.only and options.out.exists():
        again = {row["name"]: row for row in rows}
        record["rows"] = [again.get(row["name"], row) for row in json.loads(options.out.read_text())["rows"]]
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
