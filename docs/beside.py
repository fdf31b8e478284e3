"""A hook of MkDocs (mkdocs.yml): pages that lie beside docs/ belong to the site, too, and links to and from them lead there.

In the repository every link is one between files, so that the pages can be read without a site. On the site
docs/X is X, and examples/ and benchmarks/ stay what they are.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_BESIDE = ("examples/*/README.md", "benchmarks/README.md")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
_CODE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    top = Path(config.docs_dir).parent
    for pattern in _BESIDE:
        for path in sorted(top.glob(pattern)):
            name = path.relative_to(top).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = page.file.src_uri
    source = here if here.startswith(("examples/", "benchmarks/")) else f"docs/{here}"

    def led(found: re.Match[str]) -> str:
        target = normpath(PurePosixPath(source).parent / found[1])  # in the repository
        place = target.removeprefix("docs/")
        return f"]({relpath(place, PurePosixPath(here).parent)}"

    parts = _CODE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(led, part) for part in parts)
