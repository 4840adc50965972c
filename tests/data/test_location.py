"""What lies in a folder of images but is none of them: what was written by this software."""

from vitrail.data.location import locate, made_here
from vitrail.data.survey import survey

OWN = (
    "runs/x-vit-1/run.json",
    "runs/x-vit-1/explanation-1/figures/1/a.png",
    "comparison/plan.json",
    "comparison/vit-seed0/a.png",
    "why/explanation.html",
    "why/figures/1/a.png",
    "runs/run-1/explanation/1.png",
    "cat/x-samples.png",
    "dog/dog-samples.png",
)


def test_it_is_told_by_its_records_and_names():
    names = ["cat/1.jpg", *OWN, "cat/blood-samples.png", "dog/1.jpg"]
    assert made_here(names, "x") == set(range(1, len(OWN) + 1))
    assert not made_here(["run.json", "cat/1.jpg"], "x")


def test_it_is_passed_over_with_a_word_and_moves_nothing(tmp_path, data_dir):
    def write(*names):
        for name in names:
            (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "x" / name).write_bytes(name.encode())

    write("cat/1.jpg", "dog/1.jpg")
    before = locate(tmp_path / "x", data_dir)
    write(*OWN)
    after = locate(tmp_path / "x", data_dir)
    assert after.kept == before.kept
    layout = survey(after, after.files(), tolerant=True).layout
    assert layout.class_names == ("cat", "dog")
    assert len(layout.kept) == 2
    [note] = layout.notes
    assert note.startswith(
        "passed over 6 images that vitrail wrote itself: cat/x-samples.png, comparison/vit-seed0/a.png"
    )
