"""What ProperDocs does not do by itself: links out of docs/, and notebooks as pages.

Pages link to files of the repository, as in `../jaxmnist/steps.py`. On the site each of these is a
page, too, under `source/`: code, Markdown, or what a folder holds; anything else is copied.
"""

import ast
import json
import posixpath
import re
from pathlib import Path

from properdocs.config.defaults import ProperDocsConfig
from properdocs.structure.files import File, Files
from properdocs.structure.pages import Page
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).parents[2]
DOCS, SOURCE = "docs/", "source/"
LINK = re.compile(r"\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")
# Files that are shown as code; one without a suffix is the licence.
CODE = {".py": "python", ".js": "javascript", ".html": "html", ".css": "css", "": "text"}


def on_files(files: Files, *, config: ProperDocsConfig) -> Files:
    """Adds a page for every notebook, and for every file that some page links to."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb") and file.abs_src_path:
            content = notebook_page(Path(file.abs_src_path))
            uri = site_uri(DOCS + file.src_uri)
            files.append(File.generated(config, uri, content=content))
    pages = [file for file in files if file.is_documentation_page()]
    wanted = [path for file in pages for path in linked(file.content_string, file.src_uri)]
    files.append(File.generated(config, "style.css", content=code_colours()))
    while wanted:
        path = wanted.pop()
        uri = site_uri(path)
        if path.startswith(DOCS) or files.get_file_from_path(uri):
            continue
        if uri.endswith(".md"):
            content = source_page(path)
            wanted += linked(content, uri)
            files.append(File.generated(config, uri, content=content))
        else:
            files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Turns links into the repository into links on the site."""
    here = page.file.src_uri

    def on_site(link: re.Match[str]) -> str:
        path = resolve(link["target"], here)
        if path is None:
            return link[0]
        target = posixpath.relpath(site_uri(path), posixpath.dirname(here) or ".")
        return f"]({target}{link['anchor'] or ''})"

    return markdown if is_code(here) else LINK.sub(on_site, markdown)


def linked(markdown: str, here: str) -> list[str]:
    """Returns the files of the repository that the page at `here` links to."""
    if is_code(here):
        return []
    found = (resolve(link["target"], here) for link in LINK.finditer(markdown))
    return [path for path in found if path is not None]


def resolve(target: str, here: str) -> str | None:
    """Returns a link's target as a path in the repository; None if nothing is there."""
    # A page stands for the file that it shows, and links are relative to that.
    file = here.removeprefix(SOURCE) if here.startswith(SOURCE) else DOCS + here
    path = posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
    inside = not path.startswith(("..", "/"))
    return path if inside and (ROOT / path).exists() else None


def site_uri(path: str) -> str:
    """Returns where on the site a file of the repository is, as the source of a page."""
    if path.startswith(DOCS):
        return re.sub(r"\.ipynb$", ".md", path.removeprefix(DOCS))
    if (ROOT / path).is_dir():
        readme = (ROOT / path / "README.md").exists()
        return f"{SOURCE}{path}/{'README' if readme else 'index'}.md"
    return f"{SOURCE}{path}.md" if Path(path).suffix in CODE else f"{SOURCE}{path}"


def is_code(uri: str) -> bool:
    """Returns whether a page shows a file as code, in which nothing is a link."""
    return uri.startswith(SOURCE) and (ROOT / uri[len(SOURCE) : -len(".md")]).is_file()


def source_page(path: str) -> str:
    """Returns the page that shows a file or a folder of the repository."""
    file = ROOT / path
    if file.is_dir() and (file / "README.md").exists():
        file /= "README.md"
    if file.is_dir():
        # Without links: the site would hold the whole repository.
        shown = sorted(each for each in file.iterdir() if not each.name.startswith(("_", ".")))
        return "\n".join([f"# {path}/", "", summary(file), "", *map(listed, shown), ""])
    content = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return content
    return f"# {path}\n\n~~~~{CODE[file.suffix]}\n{content.rstrip()}\n~~~~\n"


def listed(file: Path) -> str:
    """Returns a line on a file or folder."""
    return f"- `{file.name}{'/' if file.is_dir() else ''}`: {summary(file)}".removesuffix(": ")


def summary(file: Path) -> str:
    """Returns what a module or a package says of itself, in its first line."""
    file = file / "__init__.py" if file.is_dir() else file
    if file.suffix != ".py" or not file.exists():
        return ""
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]


def code_colours() -> str:
    """Returns the style sheet of code, in light and dark."""
    light, dark = HtmlFormatter(style="default"), HtmlFormatter(style="github-dark")
    rules = light.get_style_defs(".codehilite")
    return f"{rules}\n{dark.get_style_defs('[data-bs-theme=dark] .codehilite')}\n"


def notebook_page(path: Path) -> str:
    """Returns a notebook as Markdown: its text, and its code in blocks."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "```python\n{}\n```"
    parts = [(c["cell_type"], "".join(c["source"])) for c in cells]
    return "\n\n".join(code.format(text) if kind == "code" else text for kind, text in parts)
