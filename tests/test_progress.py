"""What is said fits the terminal, and is left as it is elsewhere."""

import io

import pytest
from rich.console import Console

from vitrail import progress

SENTENCE = (
    "  mirrored images keep their class: a linear classifier is right on 1,174 as they are, on 408 of them mirrored"
)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_sentence_is_broken_between_words_on_a_terminal_alone(width, terminal, monkeypatch):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, soft_wrap=True, highlight=False)
    monkeypatch.setattr(progress, "console", console)
    progress.say_in_lines(SENTENCE)
    lines = out.getvalue().splitlines()
    assert " ".join(line.strip() for line in lines) == SENTENCE.strip()
    if not terminal or width == 120:
        assert lines == [SENTENCE]
    else:
        assert max(map(len, lines)) <= width
        assert all(line.startswith("    ") for line in lines[1:])
