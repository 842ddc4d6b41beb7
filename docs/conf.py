"""Sphinx: `make site` builds these pages into ``build/site``, with every warning an error."""

from probe import __version__

project = "reachwatch"
author = "The reachwatch authors"
copyright = "The reachwatch authors, Apache-2.0"  # noqa: A001 - Sphinx's name
release = __version__
extensions = ["myst_parser"]
exclude_patterns = ["schema", "images"]
html_theme = "furo"
html_title = "reachwatch"
# No request to anybody when a page is read.
html_theme_options = {"source_repository": ""}
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
myst_heading_anchors = 3
# Links to files of the repository are for those who read there.
suppress_warnings = ["myst.xref_missing"]
