"""`siamjax pack`: results as an archive for a benchmark's evaluation server."""

from pathlib import Path


def pack(*, benchmark: str, data: Path, results: Path, out: Path) -> None:
    """Packs results for the server of GOT-10k or TrackingNet.

    Fails if a sequence is missing or has a different number of boxes than frames.

    Args:
        benchmark: `got10k-test` (or `got10k` for the validation set) or `trackingnet`
        data: the benchmark's folder, which lists the sequences and their frames
        results: the folder with one tracker's results
        out: the .zip file to write
    """
    from siamjax.evaluation.benchmarks.protocols import get_benchmark
    from siamjax.evaluation.benchmarks.truths import read_truths
    from siamjax.evaluation.results.packing import PackError
    from siamjax.evaluation.results.packing import pack as write_archive

    conventions = get_benchmark(benchmark)
    truths, problems = read_truths(data, conventions)
    if problems:  # whether results are complete is unknown
        shown = "; ".join(map(str, problems[:3]))
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise PackError(f"`--data` (={str(data)!r}) is incomplete: {shown}{more}")
    file = write_archive(results, truths, conventions, out)
    print(f"{len(truths)} sequences: {file}, {file.stat().st_size / 1e6:.1f} MB")
