"""Recipes run over their seeds, recorded, and put beside what the sources report."""
