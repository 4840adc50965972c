"""A command line that cannot be read is answered with the option that was meant, and why where there is none."""

import contextlib
import io
import re

import pytest
from command_lines import fails

from vitrail.cli import VERBS, run
from vitrail.cli.mistakes import _NO_OPTION, _WORDS, explained


def options_of(*argv: str) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        run([*argv, "--help-all"])
    return re.findall(r"--[a-z][\w.-]*", shown.getvalue())


TRAIN = options_of("train", "--model", "vit-digits")


@pytest.mark.parametrize(
    ("word", "meant"),
    {
        "--learning-rate": "did you mean --lr?",
        "--batch": "did you mean --batch-size?",
        "--size": "did you mean --image-size?",
        "--imgsz": "did you mean --image-size?",
        "--gpu": "did you mean --train.device?",
        "--device": "did you mean --train.device?",
        "--arch": "did you mean --model?",
        "--dropout": "did you mean --model.dropout?",
        "--dropuot": "did you mean --model.dropout?",
        "--train.epocs": "did you mean --train.epochs?",
        "-b": "did you mean --batch-size?",
        "--pretrained": "'vitrail adopt' takes in a trained ViT",
        "--workers": "nothing waits for workers",
        "--resume": "'vitrail resume RUN'",
        "--num-classes": "the folders of the data decide",
        "--data": "'vitrail train DATA'",
    }.items(),
)
def test_an_option_of_another_library_is_understood(word, meant):
    assert meant in explained(f"Unrecognized options: {word}, 3", TRAIN)


def test_what_resembles_nothing_is_only_named():
    assert explained("Unrecognized options: --xyzzy", TRAIN) == "there is no option --xyzzy"


def test_every_word_leads_to_an_option_that_some_verb_has():
    known = {option for verb in VERBS for option in options_of(verb)} | set(TRAIN)
    reasons = {option for words in _NO_OPTION for option in words.split() if option.startswith("--")}
    assert set(_WORDS) - reasons <= known
    assert not reasons & set(TRAIN), "what train has needs no reason"


@pytest.mark.parametrize(
    ("line", "said"),
    {
        "train digits --epochs three": "--epochs takes a whole number, not 'three'",
        "train digits --lr x": "--lr takes a number, not 'x'",
        "train digits --image-size 3 4 5": "--image-size takes a whole number or 2 whole numbers, not '3 4 5'",
        "train digits --mean a": "--mean takes numbers, not 'a'",
        "train digits --train.betas 0.9 x": "--train.betas takes 2 numbers, not '0.9 x'",
        "train digits --train.betas 0.9": "--train.betas needs 2 values after it",
        "train digits --train.small-side x": "--train.small-side takes a whole number or auto, not 'x'",
        "train digits --model cnn-digits --model.widths x": "--model.widths cannot be 'x'",
        "predict run x.png --top x": "--top takes a whole number, not 'x'",
        "train digits --val_split tset": "--val-split cannot be 'tset': did you mean test?",
        "train digits --epochs": "--epochs needs a value after it",
        "train digits extra": "nothing is known to do with 'extra'",
        "train --epochs 3": "DATA is missing",
        "train --data digits": "there is no option --data: ",
        "train digits --learning_rate=0.1": "did you mean --lr?",
    }.items(),
)
def test_what_is_wrong_is_said_in_plain_words(line, said, capsys):
    error = fails(line.split(), capsys, said)
    assert not re.search(r"[{}|]|type|literal", error)
