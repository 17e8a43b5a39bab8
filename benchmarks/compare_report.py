"""Write what ``compare.py --json FILE`` measured into the documentation.

    uv run python benchmarks/compare_report.py FILE

Tables replace what is between the comments ``measured`` and ``/measured`` in README.md and
docs/performance.md, and docs/performance.svg is a plot.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

LIMIT = 8 * 90e6  # what the slow server sends on eight connections, in bytes per second

LOOPS = ("asyncio", "uvloop")


class Results:
    """What was measured."""

    def __init__(self, path: Path) -> None:
        content = json.loads(path.read_text())
        self.environment: dict[str, str] = content["environment"]
        self.works: dict[str, Any] = content["works"]

    def median(self, work: str, peer: str, figure: str) -> float:
        return float(median(each[figure] for each in self.works[work]["peers"][peer]))

    def ratio(self, work: str, peer: str, other: str, figure: str) -> float:
        """How many times as much one peer took as another in the same round."""
        peers = self.works[work]["peers"]
        rounds = zip(peers[peer], peers[other], strict=True)
        return float(median(ours[figure] / theirs[figure] for ours, theirs in rounds))


class Row(NamedTuple):
    """A figure to reach.

    Attributes:
        title: what is measured.
        against: what it is compared with.
        bar: the figure for asyncio and for uvloop.
        least: whether it is the least, rather than the most.
        measure: the figure, of a loop.
        unit: of the figure.
    """

    title: str
    against: str
    bar: tuple[float, float]
    least: bool
    measure: Callable[[Results, str], float]
    unit: str = " \N{MULTIPLICATION SIGN}"


def _speed(title: str, work: str, against: str, bar: float, ours: str = "aios3get") -> Row:
    def measure(results: Results, loop: str) -> float:
        return results.ratio(work, _peer(results, work, against, loop), f"{ours}, {loop}", "wall")

    return Row(title, against, (bar, bar), True, measure)


def _saved(title: str, work: str, bar: float, ours: str = "aios3get") -> Row:
    """How many times as much CPU time obstore takes."""

    def measure(results: Results, loop: str) -> float:
        return results.ratio(work, f"obstore, {loop}", f"{ours}, {loop}", "cpu")

    return Row(f"{title}, CPU", "obstore", (bar, bar), True, measure)


def _cpu(title: str, work: str, against: str, *bars: float) -> Row:
    def measure(results: Results, loop: str) -> float:
        return results.ratio(work, f"aios3get, {loop}", _peer(results, work, against, loop), "cpu")

    return Row(f"{title}, CPU", against, (bars[0], bars[-1]), False, measure)


def _peak(title: str, work: str) -> Row:
    def measure(results: Results, loop: str) -> float:
        return results.median(work, f"aios3get, {loop}", "memory")

    return Row(f"{title}, peak memory", "the destination", (24, 24), False, measure, " MiB")


def _of_limit(results: Results, loop: str) -> float:
    seconds = results.median("slow-memory", f"aios3get, {loop}", "wall")
    size: int = results.works["slow-memory"]["size"]
    return size / seconds / LIMIT


def _best_parquet(work: str) -> Callable[[Results, str], float]:
    def measure(results: Results, loop: str) -> float:
        others = (f"obstore, {loop}", "pyarrow", "smart_open")
        return min(results.ratio(work, each, f"aios3get, {loop}", "wall") for each in others)

    return measure


def _import(results: Results, _: str) -> float:
    return results.median("starting", "import aios3get after aiohttp", "cpu") * 1000


def _creation(results: Results, _: str) -> float:
    return results.median("starting", "S3Client()", "cpu") * 1000


def _peer(results: Results, work: str, client: str, loop: str) -> str:
    name = f"{client}, {loop}"
    return name if name in results.works[work]["peers"] else client


_VERIFIED = "aios3get verified"
_COMPARED = "CRC64NVME compared"
_BEST = "best of obstore, pyarrow, smart_open"
ROWS = {
    "memory": [
        _speed("parallel into memory", "memory", "obstore", 2),
        _saved("parallel into memory", "memory", 2),
        _speed(f"parallel into memory, {_COMPARED}", "memory", "obstore", 1.5, _VERIFIED),
        _saved(f"parallel into memory, {_COMPARED}", "memory", 1.5, _VERIFIED),
        _peak("parallel into memory", "memory"),
    ],
    "memory-tls": [
        _speed("parallel into memory, TLS", "memory-tls", "obstore", 1.1),
        _saved("parallel into memory, TLS", "memory-tls", 1.1),
    ],
    "tmpfs": [
        _speed("to a file in memory", "tmpfs", "obstore", 1.1),
        _speed("to a file in memory", "tmpfs", "boto3", 1.5),
        _peak("to a file in memory", "tmpfs"),
    ],
    "disk": [_speed(f"to a file on disk, {_COMPARED}", "disk", "boto3", 2, _VERIFIED)],
    "readinto": [_cpu("one stream with `readinto`", "readinto", "aiohttp", 0.65)],
    "readinto-tls": [_cpu("one stream with `readinto`, TLS", "readinto-tls", "aiohttp", 0.85)],
    "chunks": [_cpu("one stream, chunks", "chunks", "aiohttp", 1.05)],
    "slow-memory": [
        Row("parallel into memory, slow server", "720 MB/s", (0.95, 0.95), True, _of_limit)
    ],
    "file-like": [_speed("in order, 64 KiB a read", "file-like", "aiohttp", 0.8)],
    "slow-file-like": [
        _speed("in order, 64 KiB a read, slow server", "slow-file-like", "aiohttp", 8)
    ],
    "parquet": [
        Row("Parquet footer and columns", _BEST, (1, 1), True, _best_parquet("parquet")),
    ],
    "slow-parquet": [
        Row(
            "Parquet footer and columns, slow server",
            _BEST,
            (1, 1),
            True,
            _best_parquet("slow-parquet"),
        ),
    ],
    "tiny": [_speed("10,000 tiny ranges", "tiny", "obstore", 1)],
    "slow-tiny": [_speed("10,000 tiny ranges, slow server", "slow-tiny", "obstore", 3)],
    "scattered": [_speed("1,000 ranges of 64 KiB", "scattered", "aiohttp", 1)],
    "slow-scattered": [
        _speed("1,000 ranges of 64 KiB, slow server", "slow-scattered", "aiohttp", 2)
    ],
    "small-1k-16": [
        _cpu("1 KiB GET, 16 in flight", "small-1k-16", "aiohttp", 0.65, 0.75),
        _cpu("1 KiB GET, 16 in flight", "small-1k-16", "obstore", 0.5, 0.7),
        _cpu("1 KiB GET, 16 in flight", "small-1k-16", "aiobotocore", 1 / 14),
    ],
    "starting": [
        Row("import", "aiohttp imported", (30, 30), False, _import, " ms"),
        Row("creating a client", "nothing", (1, 1), False, _creation, " ms"),
    ],
}


def figures(results: Results) -> Iterator[str]:
    yield "| work | against | bar | asyncio | uvloop |"
    yield "|---|---|---|---|---|"
    for work, rows in ROWS.items():
        for row in rows if work in results.works else ():
            bars = [f"{bar:.3g}" for bar in dict.fromkeys(row.bar)]
            sign = "≥" if row.least else "≤"
            cells = [
                _cell(results, row, bar, loop) for loop, bar in zip(LOOPS, row.bar, strict=True)
            ]
            bar = f"{sign} {' / '.join(bars)}{row.unit}"
            yield f"| {row.title} | {row.against} | {bar} | {' | '.join(cells)} |"


def _cell(results: Results, row: Row, bar: float, loop: str) -> str:
    try:
        value = row.measure(results, loop)
    except KeyError:  # a client was left out
        return ""
    text = f"{value:.2f}{row.unit}" if value < 10 else f"{value:.0f}{row.unit}"
    return text if (value >= bar) == row.least else f"**{text}**"


def everything(results: Results) -> Iterator[str]:
    for work in results.works.values():
        yield f"### {work['title'][0].upper()}{work['title'][1:]}"
        yield ""
        figures = [
            each
            for each in ("wall", "cpu", "memory")
            if each in next(iter(work["peers"].values()))[0]
        ]
        head = {"wall": "seconds", "cpu": "CPU seconds", "memory": "peak MiB"}
        yield f"| | {' | '.join(head[each] for each in figures)} |"
        yield f"|---|{'---:|' * len(figures)}"
        for peer, rounds in work["peers"].items():
            cells = [median(each[figure] for each in rounds) for figure in figures]
            text = [f"{value:.3f}" if value < 10 else f"{value:.0f}" for value in cells]
            yield f"| {peer} | {' | '.join(text)} |"
        for peer, reason in work.get("missing", {}).items():
            yield f"| {peer} | left out: {reason} |"
        yield ""


def tables(results: Results) -> str:
    versions = dict(results.environment)
    date, machine = versions.pop("date"), versions.pop("machine")
    lines = [
        f"Measured on {date} on {machine}, with",
        f"{', '.join(' '.join(item) for item in versions.items())}.",
        "What does not reach its bar is in bold.",
        "",
        *figures(results),
        "",
        "## All measurements",
        "",
        *everything(results),
    ]
    return "\n".join(lines)


_STYLE = """
  text { font: 13px sans-serif } .title { font-weight: bold }
  .panel { fill: #ffffff } text { fill: #24292f }
  .bar { fill: #9aa5b1 } .ours { fill: #4051b5 }
  @media (prefers-color-scheme: dark) {
    .panel { fill: #1e2129 } text { fill: #e2e4e9 } .bar { fill: #6b7685 } .ours { fill: #8c9eff }
  }
"""
_PLOTTED = {
    "memory": "Into memory, with 8 connections",
    "memory-tls": "Into memory, with 8 connections, TLS",
    "tmpfs": "To a file in memory, with 8 connections",
}


def plot(results: Results) -> str:
    """Bars of GiB per second, as SVG."""
    shapes: list[str] = []
    y = 0
    for work in [each for each in _PLOTTED if each in results.works]:
        result = results.works[work]
        size = result["size"] / (1 << 30)
        rates = {peer: size / results.median(work, peer, "wall") for peer in result["peers"]}
        y += 34
        shapes.append(f'<text class="title" x="16" y="{y}">{_PLOTTED[work]}: GiB/s</text>')
        for peer, rate in sorted(rates.items(), key=lambda item: -item[1]):
            y += 22
            length = 420 * rate / max(rates.values())
            kind = "ours" if peer.startswith("aios3get") else "bar"
            shapes += [
                f'<text x="200" y="{y}" text-anchor="end">{escape(peer)}</text>',
                f'<rect class="{kind}" x="210" y="{y - 13}" width="{length:.0f}" height="16"/>',
                f'<text x="{215 + length:.0f}" y="{y}">{rate:.2f}</text>',
            ]
    height = y + 20
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 {height}">',
            f"<style>{_STYLE}</style>",
            f'<rect class="panel" width="700" height="{height}" rx="6"/>',
            *shapes,
            "</svg>\n",
        ]
    )


class Summary(NamedTuple):
    """A row of the short table.

    Attributes:
        title: what is measured.
        work: the work.
        show: the text for the seconds that a client took, given the work's result.
    """

    title: str
    work: str
    show: Callable[[dict[str, Any], float], str]


def _rate(result: dict[str, Any], seconds: float) -> str:
    return f"{result['size'] / seconds / (1 << 30):.2f} GiB/s"


def _per_second(result: dict[str, Any], seconds: float) -> str:
    return f"{result['times'] / seconds:,.0f}/s"


def _seconds(_: dict[str, Any], seconds: float) -> str:
    return f"{seconds:.2f} s"


_SUMMARIES = [
    Summary("1 GiB into memory, 8 connections", "memory", _rate),
    Summary("the same over TLS", "memory-tls", _rate),
    Summary("1 GiB to a file on disk, verified", "disk", _rate),
    Summary("GETs of 1 KiB, 16 in flight", "small-1k-16", _per_second),
    Summary("256 MiB in order, 0.1 s away", "slow-file-like", _seconds),
    Summary("10,000 tiny ranges, 0.1 s away", "slow-tiny", _seconds),
]
_COLUMNS = {
    "aios3get": ("aios3get verified, asyncio", "aios3get, asyncio"),
    "aios3get, uvloop": ("aios3get verified, uvloop", "aios3get, uvloop"),
    "obstore": ("obstore, asyncio",),
    "aiohttp": ("aiohttp, asyncio",),
    "aiobotocore or boto3": ("aiobotocore", "boto3"),
}


def summary(results: Results) -> str:
    lines = [
        f"Measured on {results.environment['date']} on {results.environment['machine']}:",
        "",
        f"| | {' | '.join(_COLUMNS)} |",
        f"|---|{'---:|' * len(_COLUMNS)}",
    ]
    for title, work, show in _SUMMARIES:
        if work in results.works:
            result = results.works[work]
            cells = [
                next(
                    (
                        show(result, results.median(work, peer, "wall"))
                        for peer in peers
                        if peer in result["peers"]
                    ),
                    "",
                )
                for peers in _COLUMNS.values()
            ]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def insert(page: Path, measured: str) -> None:
    pattern = r"(?s)(<!-- measured -->\n).*(<!-- /measured -->)"
    text, count = re.subn(pattern, lambda m: f"{m[1]}\n{measured}\n\n{m[2]}", page.read_text())
    if count != 1:
        raise SystemExit(f"{page} has no comments <!-- measured --> and <!-- /measured -->")
    page.write_text(text)


def main() -> None:
    results = Results(Path(sys.argv[1]))
    root = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parents[1])
    insert(root / "README.md", summary(results))
    insert(root / "docs" / "performance.md", tables(results))
    (root / "docs" / "performance.svg").write_text(plot(results))


if __name__ == "__main__":
    main()
