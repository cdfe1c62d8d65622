"""
Hooks of ``mkdocs build``: pages of the project's own folder are in the site
beside those of ``docs/``.
"""

from __future__ import annotations

import re

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File, Files


if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

PROJECT: Final = Path(__file__).parents[2]
#: They stay where a forge looks for them.
ALONGSIDE: Final = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
#: From a page of docs/ to one of them.
_OUT: Final = re.compile(rf"\]\(\.\./({'|'.join(map(re.escape, ALONGSIDE))})")
#: From one of them to a page of docs/.
_IN: Final = re.compile(r"\]\(docs/")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """
    Add the pages of the project's own folder.
    """
    for name in ALONGSIDE:
        files.append(
            File.generated(config, name, abs_src_path=str(PROJECT / name))
        )
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """
    Let links go where the pages are in the site.
    """
    del config, files
    if page.file.src_uri in ALONGSIDE:
        return _IN.sub("](", markdown)
    return _OUT.sub(r"](\1", markdown)
