"""What the directory of a run holds, and that of several: the one owner of names and formats; it needs no torch."""
