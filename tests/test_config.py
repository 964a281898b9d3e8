"""Configurations check themselves, say the rule they break, and survive a round trip."""

import dataclasses
import json

import pytest

from siamjax.config import (
    AnchorConfig,
    AugmentConfig,
    BackboneConfig,
    Config,
    ConfigError,
    DataConfig,
    DistractorConfig,
    LossConfig,
    ModelConfig,
    OptimConfig,
    SourceConfig,
    SyntheticConfig,
    TrackerConfig,
    TrainConfig,
)
from siamjax.config_files import config_from_dict, config_to_dict, differences, load_config
from tests.conftest import ROOT

QUICK = Config(
    name="quick",
    data=DataConfig(sources=(SourceConfig(synthetic=SyntheticConfig(sequences=3)),)),
)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BackboneConfig(name="resnet51"), "did you mean 'resnet50'"),
        (
            lambda: BackboneConfig(width=0.0),
            r"`model.backbone.width` \(=0.0\) must be positive",
        ),
        (
            lambda: ModelConfig(levels=("layer2", "layer3", "layer5")),
            "names 'layer5', which resnet50 does not have",
        ),
        (lambda: ModelConfig(fusion="weigthed"), "did you mean 'weighted'"),
        (lambda: TrainConfig(epochs="3"), r"`TrainConfig.epochs` \(='3'\) must be of type int"),
        (lambda: ModelConfig(remat=1), "must be of type bool"),
        (lambda: ModelConfig(levels=(), channels=()), "`model.levels` is empty"),
        (
            lambda: ModelConfig(levels=("layer2", "layer2"), channels=(256, 256)),
            "names a stage twice",
        ),
        (lambda: ModelConfig(channels=(256,)), "one positive width for each"),
        (lambda: ModelConfig(search_size=256), "by a multiple of the stride"),
        (lambda: ModelConfig(mask=True), "must be one of layer2, layer3 and layer4 with"),
        (
            lambda: ModelConfig(
                mask=True,
                levels=("layer2",),
                channels=(8,),
                backbone=BackboneConfig(name="alexnet"),
            ),
            r"`model.backbone.name` \(='alexnet'\) must be a ResNet with `model.mask`",
        ),
        (lambda: TrackerConfig(mask_threshold=2.0), r"must lie in \[0, 1\]"),
        (
            lambda: Config(
                name="x",
                model=ModelConfig(mask=True, levels=("layer3",), channels=(8,)),
                tracker=TrackerConfig(distractors=DistractorConfig()),
            ),
            "`tracker.distractors` must be None with `model.mask`",
        ),
        (lambda: ModelConfig(template_size=255), "smaller than `model.search_size`"),
        (lambda: TrackerConfig(window_influence=1.5), r"must lie in \[0, 1\]"),
        (lambda: TrackerConfig(penalty_k=float("nan")), r"`TrackerConfig.penalty_k` \(=nan\)"),
        (
            lambda: Config(name="x", tracker=TrackerConfig(search_size=260)),
            "by a multiple of the stride",
        ),
        (lambda: Config(name="../x"), "letters, digits"),
        (lambda: SourceConfig(), "either `path`"),
        (lambda: SourceConfig(path="a", weight=0.0), "`weight` \\(=0.0\\)"),
        (lambda: AugmentConfig(shift=-1.0), "must not be negative"),
        (lambda: DataConfig(negative_prob=2.0), r"must lie in \[0, 1\]"),
        (lambda: DataConfig(positive_iou=0.2), "must not exceed"),
        (lambda: OptimConfig(lr=0.0), "`optim.lr` \\(=0.0\\) must be positive"),
        (lambda: OptimConfig(summed_batch=0), r"`optim.summed_batch` \(=0\) must be positive"),
        (lambda: OptimConfig(clip_norm=-1.0), r"`optim.clip_norm` \(=-1.0\) must be positive"),
        (lambda: OptimConfig(backbone_train_epoch=-1), "must not be negative"),
        (lambda: TrainConfig(max_skipped=-1), "`train.max_skipped` .* must not be negative"),
        (
            lambda: Config(name="x", model=ModelConfig(correlation="plain")).check_training(),
            "must be 'response' for `model.correlation`",
        ),
        (
            lambda: TrainConfig(batch_size=0),
            r"`train.batch_size` \(=0\) must lie in \[1, 1000000\]",
        ),
        (lambda: TrainConfig(batch_size=8, pairs_per_epoch=4), "must be at least"),
        (lambda: TrainConfig(seed=-1), r"`train.seed` \(=-1\) must lie in \[0, 4294967295\]"),
        (lambda: TrainConfig(seed=2**32), r"`train.seed` \(=4294967296\) must lie in"),
        (lambda: TrainConfig(epochs=10**12), r"`train.epochs` \(=1000000000000\) must lie in"),
        (
            lambda: TrainConfig(batch_size=10**9, pairs_per_epoch=10**9),
            r"`train.batch_size` \(=1000000000\) must lie in",
        ),
        (lambda: TrainConfig(pairs_per_epoch=10**12), r"more than the 2\^31 - 1 steps"),
        (lambda: TrainConfig(average_decay=-0.1), r"`train.average_decay` \(=-0.1\) must lie"),
        (lambda: LossConfig(iou_weight=-1.0), "`loss.iou_weight` .* must not be negative"),
        (lambda: LossConfig(iou_aware=2.0), r"`loss.iou_aware` \(=2.0\) must lie in \[0, 1\]"),
        (lambda: DataConfig(num_threads=10**6), r"`data.num_threads` .* must lie in \[0, 1024"),
        (
            lambda: Config(
                name="x",
                model=ModelConfig(anchors=AnchorConfig(ratios=(1.0,))),
                data=DataConfig(labels="response"),
                loss=LossConfig(iou_weight=1.0),
            ).check_training(),
            r"must be 0 for `data.labels` \(='response'\), which has no boxes",
        ),
        (
            lambda: Config(name="x", train=TrainConfig(epochs=5)).check_training(),
            "must be fewer than",
        ),
    ],
)
def test_a_broken_rule_is_named(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_a_tracker_may_have_a_part_that_cannot_be_trained():
    Config(name="x", train=TrainConfig(epochs=5), data=DataConfig(crop_size=100))


def test_published_score_sizes():
    deep = ModelConfig()
    assert [deep.score_size_for(size) for size in (255, 831)] == [25, 97]
    shallow = ModelConfig(base_size=0, template_crop=None, neck=False)
    assert [shallow.score_size_for(size) for size in (255, 271, 287)] == [17, 19, 21]


def test_round_trip_through_json():
    values = json.loads(json.dumps(config_to_dict(QUICK)))
    assert config_from_dict(values) == QUICK


def test_an_unknown_key_in_json_is_named():
    values = config_to_dict(QUICK)
    values["optim"]["momentun"] = 0.9
    with pytest.raises(ConfigError, match="no field 'momentun'; did you mean 'momentum'"):
        config_from_dict(values)


def test_differences_name_the_dotted_field():
    other = dataclasses.replace(QUICK, optim=OptimConfig(lr=0.01))
    assert differences(QUICK, other) == {"optim.lr": (0.005, 0.01)}
    longer = dataclasses.replace(
        QUICK,
        data=DataConfig(sources=(SourceConfig(synthetic=SyntheticConfig(sequences=4)),)),
    )
    assert differences(QUICK, longer) == {"data.sources.0.synthetic.sequences": (3, 4)}


# Of PySOT's and DaSiamRPN's releases and siamfc-pytorch: penalty, window, rate, search size,
# cells of the score map there.
TRACKERS = {
    "siamrpnpp_alexnet": (0.16, 0.40, 0.30, 287, 21),
    "siamrpnpp_r50": (0.05, 0.42, 0.38, 255, 25),
    "siamrpnpp_r50_8gpu": (0.04, 0.44, 0.33, 255, 25),
    "siamrpnpp_r50_16gpu": (0.01, 0.40, 0.38, 255, 25),
    "siamrpnpp_r50_otb": (0.24, 0.5, 0.25, 255, 25),
    "siamrpnpp_mobilenetv2": (0.04, 0.4, 0.5, 255, 25),
    "siamrpnpp_r50_lt": (0.05, 0.28, 0.22, 255, 25),
    "siammask_r50": (0.10, 0.41, 0.32, 255, 25),
    "siamrpn_vot2018": (0.055, 0.42, 0.295, 271, 19),
    "dasiamrpn": (0.04, 0.44, 0.45, 271, 19),
    "siamfc": (0.04, 0.176, 0.59, 255, 17),  # it has no penalty: the default
}


@pytest.mark.parametrize("name", TRACKERS)
def test_the_published_trackers(name):
    config = load_config(ROOT / "configs" / f"{name}.py")
    tracker, size = config.tracker, config.tracker.search_size
    values = (tracker.penalty_k, tracker.window_influence, tracker.size_lr, size)
    assert (config.name, *values, config.model.score_size_for(size)) == (name, *TRACKERS[name])


def test_what_sets_the_published_trackers_apart():
    tracker = {name: load_config(ROOT / "configs" / f"{name}.py").tracker for name in TRACKERS}
    long_term = tracker["siamrpnpp_r50_lt"].long_term
    assert (long_term.search_size, long_term.window_influence) == (831, 0.001)
    assert (long_term.confidence_low, long_term.confidence_high) == (0.8, 0.998)
    assert tracker["siammask_r50"].mask_threshold == 0.15
    big = tracker["siamrpn_vot2018"]
    assert (big.small_target_search_size, big.small_target) == (287, 0.004)
    theirs = {name for name in TRACKERS if tracker[name].arithmetic == "dasiamrpn"}
    assert theirs == {"dasiamrpn", "siamrpn_vot2018"}


def test_configs_are_hashable():
    assert hash(QUICK) == hash(dataclasses.replace(QUICK))


class TestFiles:
    def write(self, tmp_path, body):
        path = tmp_path / "mine.py"
        path.write_text(body)
        return path

    def test_a_file(self, tmp_path):
        path = self.write(
            tmp_path,
            "from siamjax.config import Config\n"
            "def get_config():\n    return Config(name='x')\n",
        )
        assert load_config(path) == Config(name="x")

    def test_a_resolved_configuration(self, tmp_path):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config_to_dict(QUICK)))
        assert load_config(path) == QUICK

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("x = 1", "has no function `get_config"),
            ("def get_config():\n    return 3", "returned int, not Config"),
            (
                "from siamjax.config import Config, OptimConfig\n"
                "def get_config():\n"
                "    return Config(name='x', optim=OptimConfig(momentun=0.9))",
                "OptimConfig has no field 'momentun'; did you mean 'momentum'",
            ),
            (
                "from siamjax.config import Config, TrainConfig\n"
                "def get_config():\n    return Config(name='x', train=TrainConfig(epochs=0))",
                "mine.py, line 3: `train.epochs`",
            ),
            (
                "from siamjax.config import ModelConfig\n"
                "def get_config():\n    return ModelConfig(score_size=25)",
                "no field 'score_size'; it follows from the other sizes, so leave it out",
            ),
            ("def get_config(:", "line 1: this is not valid Python"),
            (
                "def get_config():\n    import os\n    return os.listdir('/nowhere')",
                "line 3: FileN",
            ),
            ("def get_config():\n    return get_config()", "line 2: RecursionError"),
            ("import sys\n\nsys.exit('enough')", "line 3: SystemExit: enough"),
            ("import torchmisspelled", "line 1: ModuleNotFoundError"),
        ],
    )
    def test_a_broken_file(self, tmp_path, body, message):
        with pytest.raises(ConfigError, match=message):
            load_config(self.write(tmp_path, body))

    def test_a_broken_file_of_the_current_folder(self, tmp_path, monkeypatch):
        self.write(tmp_path, "x = 1\n1 / 0")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigError, match=r"^mine\.py, line 2: ZeroDivisionError"):
            load_config("mine.py")

    def test_a_missing_file_suggests_a_near_one(self, tmp_path):
        self.write(tmp_path, "")
        with pytest.raises(ConfigError, match="did you mean 'mine'"):
            load_config(tmp_path / "mime.py")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[" * 100_000, "nested too deeply"),
            ("[]", "must hold the fields of Config"),
            ("{}", r"lacks \['name'\]"),
            ('{"name": "x", "model": 3}', "must hold the fields of ModelConfig, not 3"),
            ('{"name": "x", "model": {"levels": "layer2"}}', "must be a list, not 'layer2'"),
            ('{"name": "x", "model": {"levels": [3]}}', "must be of type str"),
            ('{"name": "x", "optim": {"lr": 1' + "0" * 400 + "}}", "beyond 64 bits"),
            ('{"name": "x", "optim": {"lr": NaN}}', r"lr` \(=nan\) must be a finite number"),
            ('{"name": "x", "train": {"max_loss": Infinity}}', "must be a finite number"),
            ('{"name": "x", "train": {"seed": -1}}', r"`train.seed` \(=-1\)"),
            ('{"name": ["x"]}', "must be of type str"),
            (
                '{"name": "x", "data": {"sources": [[1]]}}',
                "the fields of SourceConfig",
            ),
        ],
    )
    def test_json_that_is_no_configuration(self, tmp_path, text, message):
        path = tmp_path / "config.json"
        path.write_text(text)
        with pytest.raises(ConfigError, match=message) as error:
            load_config(path)
        assert "config.json" in str(error.value) and len(str(error.value)) < 400

    def test_broken_json(self, tmp_path):
        path = tmp_path / "config.json"
        path.write_text("{")
        with pytest.raises(ConfigError, match=r"config.json' is not valid json"):
            load_config(path)
