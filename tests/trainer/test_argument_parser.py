"""The argument parser of fine-tuning scripts beside the reference's."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways import HfArgumentParser, Seq2SeqTrainingArguments, TrainingArguments
from bothways.errors import DataError, UsageError
from bothways.trainer import HfArg

reference = pytest.importorskip("transformers")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Everything:
    name: str
    count: int = 3
    rate: float = 1e-3
    path: Optional[str] = None  # noqa: UP045 - the spelling of most scripts
    limit: Optional[int] = None  # noqa: UP045
    share: float | None = 0.5
    on: bool = False
    off: bool = True
    maybe: Optional[bool] = None  # noqa: UP045
    surely: Optional[bool] = True  # noqa: UP045
    colour: Colour = "red"  # type: ignore[assignment]
    size: Literal["small", 7] = "small"
    words: list[str] = field(default_factory=list)
    numbers: Optional[list[int]] = None  # noqa: UP045
    settings: Union[dict, str, None] = None  # noqa: UP007
    anything: Any = None
    long_name: str = field(default="x", metadata={"help": "Something long.", "aliases": ["--ln"]})
    derived: int = field(init=False, default=9)


LINES = [
    [],
    ["--count", "5", "--rate", "2e-5", "--path", "p", "--limit", "8", "--share", "0.25"],
    ["--on", "--off", "false", "--maybe", "yes", "--surely", "0"],
    ["--no_off", "--no_surely", "--on", "True"],
    ["--no-off", "--colour", "blue", "--size", "7", "--words", "a", "b", "--numbers", "1", "2"],
    ["--long-name", "y", "--settings", '{"a": 1}'],
    ["--ln", "z", "--count", "1", "--count", "2"],
]


@pytest.mark.parametrize("line", LINES)
def test_words_become_what_the_reference_makes_of_them(line):
    line = ["--name", "n", *line]
    (ours,) = HfArgumentParser(Everything).parse_args_into_dataclasses(line)
    (theirs,) = reference.HfArgumentParser(Everything).parse_args_into_dataclasses(line)
    assert ours == theirs


@pytest.mark.parametrize(
    "line",
    [[], ["--name", "n", "--colour", "green"], ["--name", "n", "--on", "perhaps"], ["--name", "n", "--count", "x"]],
)
def test_impossible_words_end_the_program(line, capsys):
    for kind in (HfArgumentParser, reference.HfArgumentParser):
        with pytest.raises(SystemExit):
            kind(Everything).parse_args_into_dataclasses(line)
    capsys.readouterr()


SCRIPT = "--output_dir out --learning_rate 1e-4 --do_train --eval_strategy steps --logging_steps 50 --save-steps 100"
SCRIPT += " --per_device_train_batch_size 16 --num_train_epochs 2 --warmup_ratio 0.1 --lr_scheduler_type cosine"
SCRIPT += " --load_best_model_at_end False --label_names labels --report_to none --weight_decay 0.01 --seed 1 --use_cpu"
SCRIPT += " --remove_unused_columns no --no_dataloader_pin_memory --save_total_limit 2 --optim adamw_torch --fp16 false"


def test_a_command_line_of_a_script_means_what_it_means_to_the_reference():
    (ours,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(SCRIPT.split())
    (theirs,) = reference.HfArgumentParser(reference.TrainingArguments).parse_args_into_dataclasses(SCRIPT.split())
    names = {word.lstrip("-").replace("-", "_") for word in SCRIPT.split() if word.startswith("--")} - {"report_to"}
    names = names - {"no_dataloader_pin_memory"} | {"dataloader_pin_memory", "eval_steps", "do_eval", "warmup_steps"}
    assert {n: getattr(ours, n) for n in names} == {n: getattr(theirs, n) for n in names}
    assert (ours.learning_rate, ours.eval_steps, ours.do_train, ours.label_names) == (1e-4, 50, True, ["labels"])


def test_without_words_the_arguments_have_their_defaults():
    (ours,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses([])
    assert ours == TrainingArguments()
    (ours,) = HfArgumentParser(Seq2SeqTrainingArguments).parse_args_into_dataclasses([])
    assert ours == Seq2SeqTrainingArguments()


@pytest.mark.parametrize(
    "line, meant",
    [
        ("--evaluation_strategy epoch", {"eval_strategy": "epoch"}),
        ("--evaluation-strategy epoch --no_cuda", {"eval_strategy": "epoch", "use_cpu": True}),
        ("--group_by_length --adafactor true", {"train_sampling_strategy": "group_by_length", "optim": "adafactor"}),
        ("--no_cuda False --include_inputs_for_metrics", {"include_for_metrics": ["inputs"]}),
        ("--torchdynamo eager", {"torch_compile_backend": "eager"}),
        ('--lr_scheduler_kwargs {"num_cycles":2}', {"lr_scheduler_kwargs": {"num_cycles": 2}}),
        ("--include_for_metrics inputs loss", {"include_for_metrics": ["inputs", "loss"]}),
        ("--train_sampling_strategy sequential", {"train_sampling_strategy": "sequential"}),
        ("--include_num_input_tokens_seen", {"include_num_input_tokens_seen": "all"}),
        ("--evaluation_strategy epoch --eval_strategy epoch", {"eval_strategy": "epoch"}),
        ("--warmup_steps 0.1 --tf32 no", {"warmup_steps": 0.1, "tf32": False}),
    ],
)
def test_older_and_newer_spellings_are_understood(line, meant):
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(line.split())
    assert args == TrainingArguments(**meant)


def test_unknown_words_are_refused_with_the_nearest():
    with pytest.raises(UsageError, match="not used by the HfArgumentParser: .*--lerning-rate → learning_rate"):
        HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(["--lerning-rate", "1e-4"])
    args, rest = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(
        ["--zzz", "1"], return_remaining_strings=True
    )
    assert rest == ["--zzz", "1"] and args == TrainingArguments()


@dataclass
class Data:
    train_file: str = HfArg(default="train.csv", aliases=["-t"], help="The data.")
    columns: list[str] = HfArg(default_factory=lambda: ["text"])


def test_several_dataclasses_and_arguments_of_ones_own():
    parser = HfArgumentParser((Data, TrainingArguments), description="A script.")
    parser.add_argument("--extra", type=int, default=1)
    data, args, more = parser.parse_args_into_dataclasses(["-t", "a.csv", "--seed", "3", "--extra", "5"])
    assert (data, args.seed, vars(more)) == (Data("a.csv", ["text"]), 3, {"extra": 5})
    (alone,) = HfArgumentParser([Data]).parse_args_into_dataclasses([])
    assert alone.columns == ["text"] and HfArgumentParser().parse_args_into_dataclasses([]) == ()


def test_help_can_be_shown():
    text = HfArgumentParser((Everything, TrainingArguments)).format_help()
    assert "--learning_rate LEARNING_RATE" in text and "Older spelling of --eval_strategy." in text
    assert "(default: 5e-05)" in text and "Something long." in text


def test_words_come_from_files_first(tmp_path, monkeypatch):
    (tmp_path / "script.args").write_text("--seed 5\n--learning_rate 1e-3")
    (tmp_path / "more.args").write_text("--seed 6")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "script.py"), "--weight_decay", "0.5"])
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()
    assert (args.seed, args.learning_rate, args.weight_decay) == (5, 1e-3, 0.5)
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(["--seed", "7"])
    assert (args.seed, args.learning_rate) == (7, 1e-3)
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses([], look_for_args_file=False)
    assert args.seed == 42
    more = str(tmp_path / "more.args")
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses([], args_filename=more)
    assert (args.seed, args.learning_rate) == (6, 5e-5)
    line = ["--config", more, "--weight_decay", "0.1"]
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(line, args_file_flag="--config")
    assert (args.seed, args.learning_rate, args.weight_decay) == (6, 1e-3, 0.1)
    assert line == ["--config", more, "--weight_decay", "0.1"]


def test_values_come_from_dictionaries_and_files(tmp_path):
    values = {"train_file": "b.csv", "seed": 9, "evaluation_strategy": "epoch"}
    (tmp_path / "a.json").write_text(json.dumps(values))
    (tmp_path / "a.yaml").write_text("train_file: b.csv\nseed: 9\nevaluation_strategy: epoch\n")
    parser = HfArgumentParser((Data, TrainingArguments))
    expected = (Data("b.csv"), TrainingArguments(seed=9, eval_strategy="epoch"))
    assert parser.parse_dict(values) == parser.parse_json_file(tmp_path / "a.json") == expected
    pytest.importorskip("yaml")
    assert parser.parse_yaml_file(tmp_path / "a.yaml") == expected
    with pytest.raises(UsageError, match="Some keys are not used by the HfArgumentParser: .*sed → seed"):
        parser.parse_dict({"sed": 1})
    assert parser.parse_dict({"sed": 1}, allow_extra_keys=True)[1].seed == 42
    (tmp_path / "a.yaml").write_text("- 1\n")
    with pytest.raises(DataError, match="holds a list"):
        parser.parse_yaml_file(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("learning_rate: 5e-5\n")
    with pytest.raises(UsageError, match="learning_rate is '5e-5'.*in YAML 5.0e-5"):
        parser.parse_yaml_file(tmp_path / "a.yaml")


def test_yaml_without_its_package_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UsageError, match="pip install pyyaml"):
        HfArgumentParser(Data).parse_yaml_file(tmp_path / "a.yaml")


def test_types_that_words_cannot_give_are_refused():
    @dataclass
    class Two:
        value: Union[int, float] = 1  # noqa: UP007

    for kind in (HfArgumentParser, reference.HfArgumentParser):
        with pytest.raises(ValueError, match="value"):
            kind(Two)


@given(st.floats(1e-9, 1.0), st.integers(1, 512), st.booleans(), st.sampled_from(["no", "steps", "epoch"]))
def test_what_is_written_is_read(rate, batch, train, strategy):
    line = [f"--learning_rate={rate!r}", f"--per_device_train_batch_size={batch}", f"--do_train={train}"]
    (args,) = PARSER.parse_args_into_dataclasses([*line, "--eval_strategy", strategy], look_for_args_file=False)
    assert (args.learning_rate, args.per_device_train_batch_size, args.do_train) == (rate, batch, train)
    assert args.eval_strategy == strategy and args.do_eval == (strategy != "no")


PARSER = HfArgumentParser(TrainingArguments)


def test_parsing_leaves_the_dataclass_as_it_was():
    """The reference's parser writes resolved types into the fields of the class; this one does not."""
    before = {f.name: f.type for f in dataclasses.fields(TrainingArguments)}
    HfArgumentParser(TrainingArguments).parse_args_into_dataclasses([])
    assert {f.name: f.type for f in dataclasses.fields(TrainingArguments)} == before
    assert isinstance(before["output_dir"], str)
