"""Which configuration a work directory belongs to."""

import dataclasses
import json

import pytest

from siamjax.config import ConfigError, TrackerConfig
from siamjax.config_files import load_config
from siamjax.training.workdir import check_workdir, write_config
from tests.training.tiny import CONFIG, with_train


def test_a_new_directory_and_one_s_own_are_accepted(tmp_path):
    workdir = tmp_path / "runs" / "one"
    check_workdir(workdir, CONFIG)
    write_config(workdir, CONFIG)
    check_workdir(workdir, CONFIG)
    assert load_config(workdir / "config.json") == CONFIG
    assert [path.name for path in workdir.iterdir()] == ["config.json"]


def test_another_configuration_is_refused_by_what_differs(tmp_path):
    write_config(tmp_path, CONFIG)
    before = (tmp_path / "config.json").read_text()
    other = dataclasses.replace(
        with_train(epochs=5), optim=dataclasses.replace(CONFIG.optim, lr=0.5)
    )
    with pytest.raises(ConfigError) as caught:
        check_workdir(tmp_path, other)
    message = str(caught.value)
    assert "`optim.lr` is 0.02 there and 0.5 now" in message
    assert "`train.epochs` is 3 there and 5 now" in message
    assert "--config" in message and "train.seed" not in message
    assert (tmp_path / "config.json").read_text() == before


def test_what_touches_no_parameter_may_change(tmp_path):
    write_config(tmp_path, CONFIG)
    other = dataclasses.replace(
        with_train(log_every=1, checkpoint_every=9, keep_checkpoints=7),
        tracker=TrackerConfig(search_size=48, penalty_k=0.3),
        data=dataclasses.replace(CONFIG.data, num_workers=2),
    )
    check_workdir(tmp_path, other)


def test_a_directory_of_unknown_origin_is_refused(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    check_workdir(tmp_path, CONFIG)  # what a start that failed leaves behind
    (tmp_path / "checkpoints" / "5").mkdir()
    with pytest.raises(ConfigError, match=r"has checkpoints but no config\.json"):
        check_workdir(tmp_path, CONFIG)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="must be a folder"):
        check_workdir(tmp_path / "file", CONFIG)


@pytest.mark.parametrize("text", ["{", "", json.dumps({"name": "x", "modle": {}})])
def test_an_unreadable_configuration_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        check_workdir(tmp_path, CONFIG)
