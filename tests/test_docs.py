"""The pages of docs/: their code is the source's, links lead somewhere, the notebook runs."""

import json
import re
from pathlib import Path

import pytest

from tests.helpers import ROOT, run_python
from tools.site.excerpts import excerpt, up_to_date

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "results").glob("*.md")]
)
NOTEBOOK = ROOT / "docs" / "first_steps.ipynb"
RUN_NOTEBOOK = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
place = {"metadata": {"path": sys.argv[2]}}
nbclient.NotebookClient(notebook, timeout=500, resources=place).execute()
nbformat.write(notebook, sys.argv[2] + "/run.ipynb")
"""


def without_code(page: str) -> str:
    return re.sub(r"^(```|~~~).*?^\1", "", page, flags=re.S | re.M)


def anchors(page: str) -> set[str]:
    """The anchors of a page where repositories are shown: GitHub's rule."""
    heads = re.findall(r"^#+ (.*)$", without_code(page), re.M)
    return {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}


def broken_links(path: Path) -> list[str]:
    """The relative links of a page that lead to no file, or to none of its headings."""
    broken = []
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", without_code(path.read_text("utf-8"))):
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        there = file.exists()
        if there and anchor and file.suffix == ".md":
            there = anchor in anchors(file.read_text("utf-8"))
        if not there:
            broken.append(target)
    return broken


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(path: Path) -> None:
    assert broken_links(path) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One, `two`\n[a](page.md#one-two) [b](#three) [c](gone.md) [d](http://x)")
    assert broken_links(page) == ["#three", "gone.md"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_and_figures_are_those_of_the_repository(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert up_to_date(page) == page, "run: python -m tools.site.excerpts"


def test_excerpts_are_found_or_refused() -> None:
    source = "@cache\ndef f():\n    # --- One. ---\n    a = 1\n    # --- Two. ---\n    b = 2\n"
    assert excerpt(source, "f") == source.strip()
    assert excerpt(source, "f", "One") == "# --- One. ---\na = 1"
    methods = "class C:\n    a: int\n\n    @property\n    def b(self):\n        return 1\n"
    assert excerpt(methods, "C", "fields") == "class C:\n    a: int"
    assert excerpt(methods, "C.b").startswith("@property")
    for name, section in (("g", None), ("f", "Three")):
        with pytest.raises(LookupError):
            excerpt(source, name, section)


def test_the_site_is_built_without_a_warning_and_needs_no_other_site(tmp_path: Path) -> None:
    pytest.importorskip("properdocs")
    done = run_python("-m", "properdocs", "build", "--strict", "--site-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    pages = {path: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert {path.stem for path in pages} > {path.stem for path in (ROOT / "docs").glob("*.md")}
    code = pages[tmp_path / "source" / "jaxmnist" / "steps.py.html"]
    assert ">train_step</span>" in code  # in colour
    for path, page in pages.items():
        assert not re.search(
            r"<(link|script|img|iframe)\b[^>]*\b(href|src)=\"(https?:)?//", page
        ), path


def test_the_notebook_holds_no_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    done = run_python("-c", RUN_NOTEBOOK, str(NOTEBOOK), str(tmp_path))
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "run.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    text = "".join("".join(output.get("text", "")) for output in outputs)
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert "test digits of digits8x8" in text
    assert text.endswith("7412\n")
    assert len(pictures) == 4
