"""Results as a page of Markdown, and as a picture."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from joblib import cpu_count
from PIL import features

from benchmarks.in_turn import ratio
from benchmarks.rounds import Result
from benchmarks.tables import SIMD, Table

LIBRARIES = [
    "sknorm-images",
    "scikit-learn",
    "numpy",
    "pillow",
    "joblib",
    "cykooz-resizer",
    "simplejpeg",
    "keras",
    "tensorflow-cpu",
    "tensorflow",
    "torch",
    "torchvision",
    "opencv-python-headless",
    "opencv-python",
    "nvidia-dali-cuda130",
    "nvidia-dali-cuda120",
    "spdl-io",
]


def environment() -> str:
    """Name the machine and the versions."""
    names = [line for line in _cpuinfo() if line.startswith("model name")]
    processor = names[0].partition(":")[2].strip() if names else platform.machine()
    versions = [f"{name} {found}" for name in LIBRARIES if (found := _version(name))]
    return (
        f"{processor}, {cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}, "
        f"libjpeg-turbo {features.version('libjpeg_turbo')} in Pillow"
    )


def table_as_markdown(table: Table, results: list[Result], n_files: int) -> str:
    """One row a contender: rate, ratio to the first one, memory, likeness to Pillow."""
    names = ["", "images/s", "ratio", "peak MiB", "dB"]
    simd = next((result for result in results if result.name == SIMD), None)
    if simd:
        names.append("simd / this")
    lines = [
        f"### {table.title}",
        "",
        f"{n_files:,} files to {table.size} x {table.size}. The ratio of the rates is to the "
        "first row: the median over the rounds, and the lowest and highest. Memory shared "
        "between processes counts in each of them.",
        "",
        f"| {' | '.join(names)} |",
        f"| --- |{' ---: |' * (len(names) - 1)}",
    ]
    for result in results:
        if not result.rates or result.why_not:
            cells = [result.name, result.why_not or "not run", *[""] * (len(names) - 2)]
        else:
            cells = [
                result.name,
                f"{median(result.rates):,.0f}",
                ratio(result.rates, results[0].rates),
                f"{result.peak_mib:,.0f}" if result.peak_mib else "",
                f"{result.decibels:.0f}" if result.decibels else "",
            ]
            if simd:
                cells.append(ratio(simd.rates, result.rates, spread=False))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(path: Path, table: Table, results: list[Result]) -> None:
    """Draw the rates of a table as bars, with the spread over the rounds, and the memory."""
    from matplotlib.figure import Figure

    ran = [result for result in results if result.rates and not result.why_not][::-1]
    if not ran:
        return
    rates = [median(result.rates) for result in ran]
    figure = Figure(figsize=(11, 0.4 * len(ran) + 1.2), layout="constrained")
    axes, memory = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    colours = ["tab:blue" if "sknorm" in result.name else "lightgrey" for result in ran]
    spread = [
        [rate - min(result.rates) for rate, result in zip(rates, ran, strict=True)],
        [max(result.rates) - rate for rate, result in zip(rates, ran, strict=True)],
    ]
    axes.barh(
        [result.name for result in ran], rates, color=colours, xerr=spread, ecolor="grey"
    )
    axes.axvline(rates[-1], color="black", linestyle="--", linewidth=1)
    axes.set_xlabel(f"images per second; dashed: {ran[-1].name}")
    memory.barh([result.name for result in ran], [r.peak_mib or 0 for r in ran], color=colours)
    memory.set_xlabel("peak memory, MiB")
    figure.suptitle(table.title)
    for part in (axes, memory):
        part.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
