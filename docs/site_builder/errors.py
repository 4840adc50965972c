"""What stops a build."""

from __future__ import annotations


class BuildError(Exception):
    """A document cannot become a page: a short message that names the place and the reason."""
