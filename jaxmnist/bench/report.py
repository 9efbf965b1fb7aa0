"""From the rates of every round to figures, and from figures to a table."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jaxmnist.bench.interleave import Timed
from jaxmnist.bench.options import OURS

LAYOUTS = ("eager", "channels_last")  # of PyTorch; which is faster depends on the network
FASTER = f"the faster of {' and '.join(LAYOUTS)}"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Returns ours/theirs of every round: what slowed a round down slowed both."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def contender_figures(
    timed: Mapping[str, Timed], train_flops: int, peak_flops: float
) -> dict[str, dict[str, Any]]:
    """Returns what is said of every contender; `train_flops` are those of one example."""
    found = {}
    for name, one in timed.items():
        median = statistics.median(one.rates)
        by_round = ratios(timed[OURS].rates, one.rates)
        found[name] = {
            "examples_per_second": {
                "median": median,
                "min": min(one.rates),
                "max": max(one.rates),
                "values": one.rates,
            },
            "ratio": statistics.median(by_round),
            "ratios": by_round,
            "percent_of_peak": 100 * median * train_flops / peak_flops,
            "setup_seconds": one.setup_seconds,
            "peak_memory_bytes": one.peak_memory_bytes,
        }
    return found


def geometric_means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the geometric mean over all rows of the ratio to every baseline.

    Where both of PyTorch's layouts ran, there is also that to the faster one of each row.
    """
    baselines = [name for name in rows[0]["contenders"] if name != OURS]
    groups = {name: [name] for name in baselines}
    if set(LAYOUTS) <= set(baselines):
        groups[FASTER] = list(LAYOUTS)
    return {
        group: statistics.geometric_mean(
            [min(row["contenders"][name]["ratio"] for name in names) for row in rows]
        )
        for group, names in groups.items()
    }


def table(report: dict[str, Any]) -> str:
    """Writes the figures of a comparison down, the spread being the slowest and fastest round."""
    several = any(row["seeds"] > 1 for row in report["rows"])
    lines = [
        f"training, {report['rounds']} round(s), {report['threads']} thread(s), {report['data']}, "
        f"{report['device']}, float32 matmul {report['matmul_gflops']:,.0f} GFLOP/s",
        "",
        f"{'system':<16}{'batch':>6}{'seeds':>7}  {'contender':<15}{'examples/s':>12}"
        f"{'slowest - fastest':>24}{'ours/theirs':>13}{'of matmul peak':>16}{'setup s':>9}"
        f"{'memory MB':>11}",
    ]
    for row in report["rows"]:
        for name, one in row["contenders"].items():
            rate, memory = one["examples_per_second"], one["peak_memory_bytes"]
            spread = f"{rate['min']:,.0f} - {rate['max']:,.0f}"
            ratio = "" if name == OURS else f"{one['ratio']:.2f}"
            megabytes = "-" if memory is None else f"{memory / 1e6:,.0f}"
            lines.append(
                f"{row['system']:<16}{row['batch_size']:>6}{row['seeds']:>7}  {name:<15}"
                f"{rate['median']:>12,.0f}{spread:>24}{ratio:>13}"
                f"{one['percent_of_peak']:>14.1f} %{one['setup_seconds']:>9.1f}{megabytes:>11}"
            )
    lines.append("")
    if len(report["rows"]) > 1:
        means = report["geometric_mean_ratio"].items()
        listed = ", ".join(f"{value:.2f} against {name}" for name, value in means)
        lines.append(f"geometric mean of ours/theirs over {len(report['rows'])} rows: {listed}")
    augmented = report["rows"][0]["augment"]
    lines += [
        "examples/s and ours/theirs are medians over the rounds"
        + (", over all seeds." if several else ".")
        + (" Augmented as the recipe says." if augmented else " Nothing is augmented."),
        "of matmul peak: three times the forward operations, less the gradient of the first "
        "layer's input.",
        "setup: building, compiling without caches, and the first step. memory: the most that "
        "setup and warm-up took.",
        *report["notes"],
        *(["Fewer than three rounds say little."] if report["rounds"] < 3 else []),
    ]
    return "\n".join(lines)
