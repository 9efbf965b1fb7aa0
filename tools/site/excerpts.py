"""Writes code and measured figures into the pages of docs/: `python -m tools.site.excerpts`.

What follows a line such as `<!-- code: jaxmnist/steps.py train_step, Gradients -->` is that
function, or what stands in it below the comment `# --- Gradients. ---`; of a class, `fields` is
what stands above its methods. What is between `<!-- bench: batch-64 -->` and `<!-- end -->` is what
results/bench/ has of it. So pages show what there is, also where nothing is built; a test compares.
"""

import ast
import json
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXCERPT = re.compile(
    r"<!-- code: (?P<path>\S+) (?P<name>[\w.]+)(?:, (?P<section>[^\n]+?))? -->\n"
    r"(?:\n```python\n.*?\n```\n)?",
    re.S,
)
BENCH = re.compile(r"<!-- bench: (?P<names>[^\n]+) -->\n.*?<!-- end -->", re.S)
HEAD = """\
| result | PyTorch's layout | ours/theirs | least | most |
|---|---|---|---|---|"""


def up_to_date(page: str) -> str:
    """Returns a page with the code and the figures that it asks for, as they are now.

    Raises:
      LookupError: if there is no such code or result.
    """
    return BENCH.sub(_bench, EXCERPT.sub(_block, page))


def excerpt(source: str, name: str, section: str | None = None) -> str:
    """Returns the definition of `name` (`CHWN.conv`), one section of a function, a class's fields.

    Raises:
      LookupError: if there is none.
    """
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        node = next((each for each in ast.iter_child_nodes(node) if part in _names(each)), node)
        if part not in _names(node):
            raise LookupError(f"there is no {name}")
    assert isinstance(node, ast.stmt)
    assert node.end_lineno
    first, end = _first_line(node), node.end_lineno
    if isinstance(node, ast.ClassDef) and section == "fields":
        methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
        end = min([end, *(_first_line(each) - 1 for each in methods)])
    lines = source.splitlines()[first - 1 : end]
    if isinstance(node, ast.FunctionDef) and section:
        heads = [i for i, line in enumerate(lines) if line.strip().startswith("# ---")]
        starts = [i for i in heads if lines[i].strip().startswith(f"# --- {section}")]
        if len(starts) != 1:
            raise LookupError(f"{name} has {len(starts)} sections called {section}")
        lines = lines[starts[0] : next((i for i in heads if i > starts[0]), len(lines))]
    return textwrap.dedent("\n".join(lines)).strip("\n")


def _first_line(node: ast.stmt) -> int:
    """Returns where a definition begins, its decorators included."""
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _names(node: ast.AST) -> set[str]:
    """Returns the names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _block(match: re.Match[str]) -> str:
    path, name, section = match["path"], match["name"], match["section"]
    code = excerpt((ROOT / path).read_text(encoding="utf-8"), name, section)
    head = match[0].split("\n", 1)[0]
    return f"{head}\n\n```python\n{code}\n```\n"


def _bench(match: re.Match[str]) -> str:
    """Returns a table of races, and their commands as results/README.md lists them."""
    listed = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    rows, commands = [HEAD], []
    for name in match["names"].split():
        race = json.loads((ROOT / "results" / "bench" / f"{name}.json").read_text("utf-8"))
        # Where several layouts ran, each system is compared with the faster one.
        against = list(race["geometric_mean_ratio"])[-1]
        ratios = {
            row["system"]: min(
                c["ratio"] for key, c in row["contenders"].items() if key != "jaxmnist"
            )
            for row in race["rows"]
        }
        least, most = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
        cells = [f"[{name}](../results/bench/{name}.json)", against]
        cells += [f"{race['geometric_mean_ratio'][against]:.2f}"]
        cells += [f"{ratios[system]:.2f} ({system})" for system in (least, most)]
        rows.append(f"| {' | '.join(cells)} |")
        command = re.search(rf"\(bench/{name}\.json\) \| `([^`]+)`", listed)
        if not command:
            raise LookupError(f"results/README.md has no command for {name}")
        commands.append(command[1])
    table, block = "\n".join(rows), "\n".join(commands)
    head = match[0].split("\n", 1)[0]
    return f"{head}\n\n{table}\n\n```\n{block}\n```\n\n<!-- end -->"


def main() -> None:
    """Writes all pages."""
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text(encoding="utf-8")
        path.write_text(up_to_date(page), encoding="utf-8")


if __name__ == "__main__":
    main()
