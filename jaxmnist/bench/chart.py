"""A comparison as a bar chart, drawn to be read on a slide at half size."""

from typing import Any, BinaryIO

from jaxmnist.bench.options import OURS
from jaxmnist.run.plots import STYLE

COLOURS = {
    OURS: "#0969da",
    "eager": "#8c959f",
    "channels_last": "#57606a",
    "cuda_graphs": "#1a7f37",
    "compile": "#8250df",
    "published": "#d4a72c",
}


def draw_chart(file: BinaryIO, report: dict[str, Any]) -> None:
    """Draws a group of bars a row: examples/s by those of a baseline, slowest and fastest round.

    The baseline is channels_last if it took part, else the first one.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = report["rows"]
    names = list(rows[0]["contenders"])
    reference = "channels_last" if "channels_last" in names else names[1]
    height = 0.8 / len(names)
    with matplotlib.rc_context(STYLE):
        inches = 0.42 * len(rows) * (len(names) + 1) + 2.6
        figure = Figure(figsize=(12, inches), layout="constrained")
        FigureCanvasAgg(figure)
        axis = figure.subplots()
        for place, name in enumerate(names):
            for number, row in enumerate(rows):
                unit = row["contenders"][reference]["examples_per_second"]["median"]
                rate = row["contenders"][name]["examples_per_second"]
                low, middle, high = (rate[key] / unit for key in ("min", "median", "max"))
                where = number - 0.4 + (place + 0.5) * height
                axis.barh(
                    where,
                    middle,
                    height * 0.92,
                    color=COLOURS[name],
                    xerr=[[middle - low], [high - middle]],
                    error_kw={"ecolor": "#1f2328", "capsize": 4, "elinewidth": 1.5},
                    label=name if number == 0 else None,
                )
                ratio = row["contenders"][reference]["ratio"]
                times = f"{ratio:.2f} x   " if name == OURS else ""
                axis.annotate(
                    f"{times}{rate['median']:,.0f}/s", (high, where), (8, 0), va="center",
                    fontsize=13, textcoords="offset points",
                )  # fmt: skip
        axis.axvline(1, color="#1f2328", linewidth=1, linestyle=":")
        axis.set_yticks(range(len(rows)), [f"{r['system']}\nbatch {r['batch_size']}" for r in rows])
        axis.invert_yaxis()
        axis.margins(x=0.2)
        axis.set_xlim(left=0)
        axis.set_xlabel(f"training examples/s, PyTorch {reference} = 1")
        figure.legend(frameon=False, loc="outside lower center", ncols=min(len(names), 4))
        augmented = "augmented" if rows[0]["augment"] else "nothing augmented"
        figure.suptitle(
            f"{report['data']}, {augmented}, {rows[0]['seeds']} seed(s), "
            f"{report['rounds']} round(s), {report['device']}, {report['threads']} thread(s)",
            fontsize=15,
        )
        figure.savefig(file, format="png", dpi=100)
