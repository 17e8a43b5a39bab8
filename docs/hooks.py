"""A MkDocs hook: pages of the site that are made of files outside this folder."""

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the start page, the changes and the examples."""
    pages = {
        "index.md": (_ROOT / "README.md").read_text(),
        "changelog.md": (_ROOT / "CHANGELOG.md").read_text(),
        "examples.md": _examples(),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))


def on_page_markdown(markdown: str, **_: object) -> str:
    """Have links to files of the repository lead to those pages."""
    markdown = re.sub(r"\]\((?:\.\./)?examples/(\w+)\.py\)", r"](examples.md#\1)", markdown)
    markdown = re.sub(r"\]\((?:\.\./)?examples\)", "](examples.md)", markdown)
    markdown = re.sub(r"\]\((?:\.\./)?CHANGELOG\.md\)", "](changelog.md)", markdown)
    return markdown.replace("](docs/", "](")


def _examples() -> str:
    parts = ["# Examples\n"]
    for path in sorted((_ROOT / "examples").glob("*.py")):
        code = path.read_text()
        summary = (ast.get_docstring(ast.parse(code)) or "").partition("\n")[0]
        parts.append(f"## `{path.stem}` {{#{path.stem}}}\n\n{summary}\n\n```python\n{code}```\n")
    return "\n".join(parts)
