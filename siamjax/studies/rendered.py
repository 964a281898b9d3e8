"""What a study renders: once, before its cells start, for cells that run at once share it."""

from collections.abc import Sequence
from pathlib import Path

from siamjax.data.formats.synthetic import prepare_synthetic
from siamjax.data.synthetic import write_test_split
from siamjax.files import file_name
from siamjax.studies.runs import Cell, probe_config
from siamjax.studies.study import Study


def render_shared(study: Study, cells: Sequence[Cell], data: Path) -> None:
    """Renders into `data` whatever training, probes and benchmarks of the cells ask for.

    What is there is kept. Raises OSError when the disk is full.
    """
    configs = [cell.config for cell in cells]
    probes = [probe_config(study, cell) for cell in cells]
    wanted = {
        (source.synthetic, config.data.crop_size, config.model.context_pixels): None
        for config in [*configs, *filter(None, probes)]
        for source in config.data.sources
        if source.synthetic is not None
    }
    for arguments in wanted:
        prepare_synthetic(*arguments, data)
    for benchmark in study.benchmarks:
        if benchmark.name == "synthetic" and not benchmark.data:
            write_test_split(data / file_name(benchmark.name))
