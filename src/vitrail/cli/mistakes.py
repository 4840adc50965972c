"""What is said of a command line that cannot be read: one line in plain words, with the option that was meant."""

import difflib
import re
from collections.abc import Sequence

from vitrail.errors import nearest

_WORDS = {
    "--adopt": "pretrained weights start start-from finetune fine-tune model-name-or-path init-from transfer-learning",
    "--augment": "aug aa auto-augment augmentation augmentations item-tfms batch-tfms",
    "--batch-size": "b bs batch per-device-train-batch-size train-batch-size",
    "--epochs": "e epoch n-epoch n-epochs num-epochs num-train-epochs max-epochs nepochs",
    "--image-size": "s size imgsz img img-size input-size resolution crop-size resize train-crop-size image-height",
    "--lr": "learning-rate lr0 lr-max base-lr base-learning-rate max-lr peak-lr step-size",
    "--model": "m arch a architecture backbone network model-name model-type preset",
    "--models": "m arch a architecture backbone network model model-name model-type preset presets",
    "--model.drop-path": "drop-path-rate stochastic-depth stochastic-depth-prob",
    "--model.dropout": "drop drop-rate hidden-dropout-prob ps",
    "--model.embed-dim": "dim width hidden-size",
    "--model.depth": "layers num-layers num-hidden-layers n-layers blocks",
    "--model.num-heads": "heads n-heads num-attention-heads",
    "--no-augment": "no-aug no-augmentation noaug",
    "--pretrained": "weights",
    "--optimizer": "opt optim opt-func",
    "--out": "o output output-dir out-dir save-dir project experiment log-dir logdir name run-name",
    "--seed": "random-seed random-state manual-seed",
    "--seeds": "repeats runs n-seeds num-seeds trials",
    "--test-subset": "max-eval-samples max-test-samples",
    "--time-budget": "time minutes max-time budget timeout",
    "--top": "k topk top-k",
    "--track": "report-to log-wandb wandb tensorboard logger loggers",
    "--train-subset": "subset fraction max-train-samples limit n-images",
    "--train.augment.cutout": "reprob random-erase random-erasing erasing",
    "--train.augment.flip": "hflip fliplr do-flip mirror",
    "--train.checkpoint-every": "save-steps save-period checkpoint-hist save-every",
    "--train.clip-norm": "clip-grad clip max-grad-norm gradient-clip-val grad-clip",
    "--train.compile": "torchcompile torch-compile",
    "--train.device": "gpu gpus cuda cpu use-cpu no-cuda mps accelerator",
    "--train.ema-decay": "ema model-ema model-ema-decay",
    "--train.label-smoothing": "smoothing label-smoothing-factor",
    "--train.precision": "amp fp16 bf16 half mixed-precision dtype amp-dtype",
    "--train.schedule": "sched scheduler lr-scheduler lr-scheduler-type cos-lr",
    "--train.threads": "num-threads cpus cores",
    "--train.warmup": "warmup-epochs warmup-steps warmup-ratio warmup-lr",
    "--train.weight-decay": "wd decay",
    "--val-fraction": "val-pct valid-pct val-ratio val-size validation-split valid-size",
    "--val-split": "validation split valid-split",
    "--data": "dataset dataset-name data-path train-dir root source",
}
"""The words for an option in timm, Ultralytics, Hugging Face, fastai and torchvision, without the hyphens."""
_NO_OPTION = {
    "--adopt": "training starts from random weights; 'vitrail adopt' takes in a trained ViT",
    "--data data": "the images are named without an option, as in 'vitrail train DATA'",
    "workers num-workers j dataloader-num-workers jobs": "images are decoded once and kept, so that nothing waits "
    "for workers; --train.threads is for the computation",
    "resume resume-from-checkpoint checkpoint ckpt": "'vitrail resume RUN' goes on with what was interrupted",
    "patience early-stopping": "training goes to its last epoch, as the learning rate is planned; --epochs or "
    "--time-budget says how many there are",
    "num-classes nc classes n-classes num-labels": "the folders of the data decide how many classes there are",
    "gradient-accumulation-steps grad-accum-steps accumulate nbs": "a batch is as large as --batch-size says",
    "val eval do-eval do-train evaluate test": "'vitrail train' tests at its end, 'vitrail evaluate RUN' once more",
}
"""What is said where no option of the verb has the meaning."""
_KINDS = {"INT": "a whole number", "FLOAT": "a number", "int": "a whole number", "float": "a number"}


def explained(said: str, options: Sequence[str]) -> str:
    """What tyro said, in plain words; `options` are those of the verb, with their hyphens."""
    if unknown := re.match(r"Unrecognized options: (--?[A-Za-z][\w.-]*)", said):
        return _unknown(unknown[1].replace("_", "-"), options)
    if stray := re.match(r"Unrecognized options: (.*)", said):
        return f"nothing is known to do with {stray[1]!r}"
    if choice := re.match(r"invalid choice '(.*)' for argument '(.*)'\. Expected one of \((.*)\)", said):
        value, name, known = choice[1], choice[2], re.findall(r"'(.*?)'", choice[3])
        return f"{name} cannot be {value!r}: {nearest(value, known)}"
    if missing := re.match(r"Missing value for argument '(.*)'\. Expected (\d+)", said):
        return f"{missing[1]} needs {'a value' if missing[2] == '1' else f'{missing[2]} values'} after it"
    if wrong := re.match(r"Error parsing (\S+): .*?(\[.*\]|'[^']*')( into tuple.*)?$", said):
        value = " ".join(re.findall(r"'(.*?)'", wrong[2]))
        wanted = _wanted(said)
        return f"{wrong[1]} takes {wanted}, not {value!r}" if wanted else f"{wrong[1]} cannot be {value!r}"
    if missing := re.match(r"Missing from [^:]+: (\S+)$", said):
        return f"{missing[1]} is missing"
    return said


def _wanted(said: str) -> str:
    """`a whole number` of `{None}|INT`, `2 numbers` of `{FLOAT FLOAT}`."""
    kinds = re.search(r"type matching (.*) could", said) or re.search(r"tuple\[(.*)\]|for (int)\(|to (float)", said)
    wanted = []
    for kind in (next(filter(None, kinds.groups())) if kinds else "None").split("|"):
        words = re.findall(r"\w+", kind.replace("...", ""))
        of = _KINDS.get(words[0], "")
        if "[" in kind:
            wanted.append(f"{of.removeprefix('a whole ').removeprefix('a ')}s")
        elif len(words) > 1 and of:
            wanted.append(f"{len(words)} {of.removeprefix('a ')}s")
        elif words != ["None"]:
            wanted.append(of or kind.strip("{}"))
    return " or ".join(wanted)


def _unknown(name: str, options: Sequence[str]) -> str:
    """By meaning, by the name that it has in a group of options, by its letters."""
    word = name.lstrip("-")
    group, _, last = word.rpartition(".")
    meant = [option for option, words in _WORDS.items() if word in words.split()]
    no_option = next((why for of, why in _NO_OPTION.items() if {word, *meant} & set(of.split())), None)
    by_name = {option.lstrip("-").rpartition(".")[2]: option for option in reversed(options) if group in option}
    alike = difflib.get_close_matches(last, by_name, n=1, cutoff=0.7)
    found = [option for option in meant if option in options]
    if not found and not no_option:
        found = [by_name[near] for near in alike]
    why = f": did you mean {found[0]}?" if found else f": {no_option}" if no_option else ""
    return f"there is no option {name}{why}"
