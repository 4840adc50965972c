"""What an adopted model is put together from."""

from vitrail.adoption.assembly import distinct


def test_names_that_occur_again_are_numbered_in_whatever_form_of_unicode():
    assert distinct(["crane", "owl", "crane"]) == ("crane", "owl", "crane (2)")
    assert distinct(["caf\u00e9", "cafe\u0301"]) == ("caf\u00e9", "cafe\u0301 (2)")
