"""``TrainingArguments`` beside the reference: defaults, completions, refusals, spellings, places."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import Seq2SeqTrainingArguments, TrainingArguments
from bothways.engine.names import OptimizerNames, SchedulerType
from bothways.engine.optimizers import OPTIMIZERS as ENGINE_OPTIMIZERS
from bothways.errors import UsageError
from bothways.trainer.argument_checks import REFUSED
from bothways.trainer.argument_fields import ArgumentFields
from bothways.trainer.argument_names import MEANT, ArgumentNameError, old_names

reference = pytest.importorskip("transformers")
OTHERWISE = {
    "logging_dir",
    "accelerator_config",
    "fsdp",
    "fsdp_config",
    "debug",
    "local_rank",
    "no_cuda",
    "disable_tqdm",
}
"""Fields whose default is written otherwise and means the same; ``disable_tqdm`` follows the level of logging."""


def theirs(**arguments):
    return reference.TrainingArguments(**arguments)


def test_the_defaults_are_those_of_the_reference():
    ours, other = TrainingArguments().to_dict(), theirs().to_dict()
    shared = set(ours) & set(other) - OTHERWISE
    assert len(shared) > 110
    assert {name: ours[name] for name in shared} == {name: other[name] for name in shared}


def test_every_name_of_the_reference_is_known():
    known = {f.name for f in dataclasses.fields(TrainingArguments)} | set(old_names(TrainingArguments))
    assert {f.name for f in dataclasses.fields(reference.TrainingArguments) if f.init} <= known
    seq2seq = {f.name for f in dataclasses.fields(Seq2SeqTrainingArguments)}
    assert {f.name for f in dataclasses.fields(reference.Seq2SeqTrainingArguments) if f.init} <= seq2seq | known


def test_arguments_that_the_reference_wrote_can_be_read():
    written = theirs(output_dir="x", learning_rate=1e-4, eval_strategy="epoch", seed=7).to_dict()
    ours = TrainingArguments(**json.loads(json.dumps(written)))
    assert (ours.learning_rate, ours.eval_strategy, ours.do_eval, ours.seed) == (1e-4, "epoch", True, 7)


def test_its_own_dictionary_makes_the_same_arguments():
    first = TrainingArguments(
        "x", eval_strategy="steps", eval_steps=10, group_by_length=True, lr_scheduler_type="cosine"
    )
    assert TrainingArguments(**json.loads(first.to_json_string())) == first
    assert dataclasses.replace(first) == first == copy.deepcopy(first) == pickle.loads(pickle.dumps(first))


STEPS = st.sampled_from([0, 1, 2, 3, 4, 6, 10, 2.0, 2.5, 0.1, 0.2, 0.3])
DRAWN = st.fixed_dictionaries(
    {},
    optional={
        "eval_strategy": st.sampled_from(["no", "steps", "epoch"]),
        "save_strategy": st.sampled_from(["no", "steps", "epoch", "best", "never"]),
        "logging_strategy": st.sampled_from(["no", "steps", "epoch"]),
        "eval_steps": st.none() | STEPS,
        "save_steps": STEPS,
        "logging_steps": STEPS,
        "load_best_model_at_end": st.booleans(),
        "metric_for_best_model": st.sampled_from([None, "accuracy", "eval_loss", "loss"]),
        "greater_is_better": st.sampled_from([None, True, False]),
        "lr_scheduler_type": st.sampled_from(["linear", "reduce_lr_on_plateau", "slow"]),
        "warmup_ratio": st.sampled_from([0.0, 0.1, 1.0, 1.5]),
        "warmup_steps": st.sampled_from([0, 5]),
        "bf16": st.booleans(),
        "fp16": st.booleans(),
        "dataloader_prefetch_factor": st.sampled_from([None, 2]),
        "dataloader_num_workers": st.sampled_from([0, 2]),
        "torch_compile_mode": st.sampled_from([None, "default"]),
        "include_num_input_tokens_seen": st.sampled_from([True, False, "all", "no"]),
        "do_eval": st.booleans(),
        "torch_empty_cache_steps": st.sampled_from([None, 0, 3]),
    },
)
COMPLETED = (
    *("eval_strategy", "save_strategy", "logging_strategy", "eval_steps", "save_steps", "logging_steps", "do_eval"),
    *("metric_for_best_model", "greater_is_better", "lr_scheduler_type", "torch_compile", "torch_compile_backend"),
    *("include_num_input_tokens_seen", "dataloader_pin_memory", "warmup_ratio", "warmup_steps"),
)


@given(DRAWN)
@settings(max_examples=400, deadline=None)
def test_what_is_accepted_and_completed_is_what_the_reference_accepts_and_completes(drawn):
    drawn = {"use_cpu": True, **drawn}
    try:
        other = theirs(**drawn)
    except ValueError:
        with pytest.raises(UsageError):
            TrainingArguments(**drawn)
        return
    if drawn.get("save_strategy") == "best" and drawn.get("eval_strategy", "no") == "no":
        with pytest.raises(UsageError, match="save_strategy='best' needs evaluations"):
            TrainingArguments(**drawn)  # the reference never saves then, and says nothing
        return
    if drawn.get("fp16"):
        with pytest.raises(UsageError, match="fp16=True needs a GPU"):
            TrainingArguments(**drawn)
        return
    ours = TrainingArguments(**drawn)
    differing = {
        name: (getattr(ours, name), getattr(other, name))
        for name in COMPLETED
        if getattr(ours, name) != getattr(other, name)
    }
    if drawn.get("save_strategy") == "best":  # the reference leaves it out here and raises in its Trainer
        assert ours.metric_for_best_model is not None
        differing.pop("metric_for_best_model", None), differing.pop("greater_is_better", None)
    assert differing == {}


@pytest.mark.parametrize(
    "old, new",
    [
        ({"evaluation_strategy": "epoch"}, {"eval_strategy": "epoch"}),
        ({"no_cuda": True}, {"use_cpu": True}),
        ({"no_cuda": False, "use_cpu": True}, {"use_cpu": True}),
        ({"group_by_length": True}, {"train_sampling_strategy": "group_by_length"}),
        ({"adafactor": True}, {"optim": "adafactor"}),
        (
            {"include_inputs_for_metrics": True, "include_for_metrics": ["loss"]},
            {"include_for_metrics": ["loss", "inputs"]},
        ),
        ({"include_inputs_for_metrics": True, "include_for_metrics": ["inputs"]}, {"include_for_metrics": ["inputs"]}),
        ({"torchdynamo": "eager"}, {"torch_compile_backend": "eager", "torch_compile": True}),
        ({"evaluation_strategy": "steps", "eval_strategy": "steps"}, {"eval_strategy": "steps"}),
        ({"optim": "adamw_hf"}, {"optim": "adamw_torch"}),
    ],
)
def test_older_spellings_mean_the_newer_ones(old, new):
    assert TrainingArguments("x", **old) == TrainingArguments("x", **new)


def test_older_spellings_can_be_read_and_set():
    args = TrainingArguments("x", eval_strategy="epoch", use_cpu=True, include_for_metrics=["loss"])
    assert (args.evaluation_strategy, args.no_cuda, args.group_by_length) == ("epoch", True, False)
    args.evaluation_strategy, args.no_cuda, args.group_by_length, args.adafactor = "no", False, True, True
    args.include_inputs_for_metrics = True
    assert (args.eval_strategy, args.use_cpu, args.optim) == ("no", False, "adafactor")
    assert args.train_sampling_strategy == "group_by_length" and args.include_for_metrics == ["loss", "inputs"]
    args.adafactor = args.group_by_length = args.include_inputs_for_metrics = False
    assert (args.optim, args.train_sampling_strategy, args.include_for_metrics) == (
        "adamw_torch_fused",
        "random",
        ["loss"],
    )


def test_a_newer_value_is_never_undone_by_an_older_spelling():
    """``replace`` gives every field; an older spelling that were a field would contradict the change."""
    args = TrainingArguments("x", evaluation_strategy="steps", group_by_length=True)
    changed = dataclasses.replace(args, eval_strategy="no", train_sampling_strategy="random")
    assert (changed.evaluation_strategy, changed.group_by_length) == ("no", False)


def test_spellings_that_contradict_each_other_are_refused():
    with pytest.raises(UsageError, match="evaluation_strategy='steps' and eval_strategy='epoch' contradict"):
        TrainingArguments("x", evaluation_strategy="steps", eval_strategy="epoch")


def test_unknown_names_are_named_together_with_the_nearest():
    with pytest.raises(ArgumentNameError) as caught:
        TrainingArguments("x", lerning_rate=1e-4, evaluate_strategy="no", zzz=1)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert "'lerning_rate'. Did you mean 'learning_rate'?" in message
    assert "'evaluate_strategy'. Did you mean 'evaluation_strategy'?" in message
    assert "unexpected keyword argument 'zzz'." in message


@dataclasses.dataclass
class WithField(TrainingArguments):
    margin: float = 0.5
    my_token: str = "secret"


@dataclasses.dataclass
class WithOwnSpelling(TrainingArguments):
    group_by_length: bool = True  # type: ignore[assignment]


class WithInit(TrainingArguments):
    def __init__(self, *args, margin=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.margin = margin


def test_subclasses_take_older_spellings_too():
    args = WithField("x", margin=0.1, evaluation_strategy="epoch", no_cuda=True)
    assert (args.margin, args.eval_strategy, args.use_cpu) == (0.1, "epoch", True)
    with pytest.raises(
        ArgumentNameError, match="WithField got an unexpected keyword argument 'margn'. Did you mean 'margin'"
    ):
        WithField(margn=1)
    args = WithInit("x", margin=3, evaluation_strategy="epoch")
    assert (args.margin, args.do_eval) == (3, True)
    with pytest.raises(TypeError, match="lerning_rate"):
        WithInit("x", lerning_rate=1)


def test_a_subclass_may_define_a_field_with_the_name_of_an_older_spelling():
    assert WithOwnSpelling("x").group_by_length is True
    assert WithOwnSpelling("x", group_by_length=False).train_sampling_strategy == "random"


def test_the_signature_names_the_fields():
    assert list(inspect.signature(TrainingArguments).parameters) == [f.name for f in dataclasses.fields(ArgumentFields)]
    assert "margin" in inspect.signature(WithField).parameters
    assert next(iter(inspect.signature(reference.TrainingArguments).parameters)) == "output_dir"


VALUES_REFUSED = {
    "deepspeed": {"zero": 1},
    "fsdp": "full_shard",
    "fsdp_config": {"min_num_params": 5},
    "fsdp_min_num_params": 5,
    "accelerator_config": {"split_batches": True},
    "past_index": 0,
    "tpu_num_cores": 8,
    "hub_strategy": "end",
    "liger_kernel_config": {"rope": True},
    "save_safetensors": False,
    "ray_scope": "all",
    "skip_memory_metrics": False,
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_cannot_be_honoured_is_refused_with_advice(name):
    value = VALUES_REFUSED.get(name, True)
    with pytest.raises(UsageError) as caught:
        TrainingArguments("x", **{name: value})
    assert str(caught.value).startswith(f"{name}={value!r} is not supported. ") and REFUSED[name] in str(caught.value)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (
            {"per_device_train_batch_size": 0},
            "per_device_train_batch_size is 0; it must be a whole number of at least 1.",
        ),
        (
            {"gradient_accumulation_steps": -2},
            "gradient_accumulation_steps is -2; it must be a whole number of at least 1.",
        ),
        ({"learning_rate": "5e-5"}, "learning_rate is '5e-5'; it must be a number of at least 0. Write it without"),
        ({"learning_rate": -1e-4}, "learning_rate is -0.0001; it must be a number of at least 0."),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it must be"),
        ({"num_train_epochs": True}, "num_train_epochs is True; it must be a number of at least 0."),
        ({"adam_beta1": 1.0}, "adam_beta1 is 1.0; it must be a number from 0 to below 1."),
        ({"label_smoothing_factor": 1.5}, "label_smoothing_factor is 1.5; it must be a number from 0 to 1."),
        ({"max_steps": 10.5}, "max_steps is 10.5; it must be a whole number."),
        ({"seed": -1}, "seed is -1; it must be a whole number from 0 to 4,294,967,295."),
        (
            {"warmup_steps": 2.5},
            "warmup_steps is 2.5; from 1 on it must be a whole number, below 1 a share",
        ),
        ({"eval_strategy": "steps", "eval_steps": -5}, "eval_steps is -5; it must be above 0"),
        ({"logging_steps": -5}, "logging_steps is -5; it must be above 0"),
        ({"eval_strategy": "step"}, "'step' is not a valid IntervalStrategy. Choose one of: 'no', 'steps', 'epoch'."),
        ({"lr_scheduler_type": "cosin"}, "lr_scheduler_type='cosin' is not supported. Choose one of: linear, "),
        ({"optim": "adamw_bnb_8bit"}, "optim='adamw_bnb_8bit' is not supported. Choose one of: adamw_torch, "),
        ({"lr_scheduler_kwargs": "{oops"}, "lr_scheduler_kwargs is '{oops', which is not JSON"),
        ({"report_to": "wandb"}, "report_to='wandb' is not supported. Use 'tensorboard' or 'none'"),
        (
            {"include_for_metrics": ["input"]},
            "include_for_metrics='input' is not supported. Choose one of: inputs",
        ),
        ({"half_precision_backend": "apex"}, "half_precision_backend='apex' is not supported."),
        (
            {"load_best_model_at_end": True, "eval_strategy": "epoch"},
            "the same eval_strategy and save_strategy, but they are 'epoch' and 'steps'",
        ),
        (
            {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 200},
            "needs save_steps to be a multiple of eval_steps, but 500 is not a multiple of 200.",
        ),
        (
            {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 0.1},
            "save_steps is 500 and eval_steps is 0.1",
        ),
    ],
)
def test_impossible_values_are_refused_with_their_numbers(arguments, said):
    with pytest.raises(UsageError) as caught:
        TrainingArguments("x", **arguments)
    assert said in str(caught.value)


def test_numbers_of_numpy_and_whole_floats_are_numbers():
    args = TrainingArguments(
        "x", learning_rate=np.float32(0.5), per_device_train_batch_size=np.int64(4), max_steps=100.0, save_steps=50.0
    )
    assert (args.learning_rate, args.per_device_train_batch_size, args.max_steps, args.save_steps) == (0.5, 4, 100, 50)
    json.dumps(args.to_dict())
    assert all(type(v) in (int, float) for v in (args.learning_rate, args.per_device_train_batch_size, args.save_steps))


@pytest.mark.parametrize("report_to", [None, "none", "all", [], ["none"], ["all"]])
def test_nothing_is_reported_unless_asked(report_to):
    assert TrainingArguments("x", report_to=report_to).report_to == []


def test_tensorboard_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install tensorboard"):
        TrainingArguments("x", report_to="tensorboard")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    args = TrainingArguments("x", report_to=["tensorboard"])
    assert (args.report_to, args.logging_dir) == (["tensorboard"], "x/runs")


@given(
    st.integers(0, 10_000), st.sampled_from([0, 1, 7, 500, 0.1, 0.06, 0.999]), st.sampled_from([0.0, 0.1, 0.33, 1.0])
)
def test_warmup_is_in_steps_or_a_share(total, steps, ratio):
    ours = TrainingArguments("x", warmup_steps=steps, warmup_ratio=ratio).get_warmup_steps(total)
    if steps >= 1 or steps == 0:
        assert ours == theirs(warmup_steps=steps, warmup_ratio=ratio).get_warmup_steps(total)
    else:
        assert ours == theirs(warmup_ratio=steps).get_warmup_steps(total)


def test_methods_by_topic_set_what_those_of_the_reference_set():
    calls = [
        ("set_training", {"learning_rate": 1e-3, "batch_size": 4, "num_epochs": 2, "gradient_accumulation_steps": 2}),
        ("set_evaluate", {"strategy": "steps", "steps": 20, "batch_size": 2, "delay": 3, "loss_only": True}),
        ("set_evaluate", {"strategy": "no", "accumulation_steps": 4}),
        ("set_testing", {"batch_size": 3}),
        ("set_save", {"strategy": "epoch", "steps": 7, "total_limit": 2, "on_each_node": True}),
        ("set_logging", {"strategy": "steps", "steps": 5, "first_step": True, "replica_level": "error"}),
        ("set_optimizer", {"name": "adafactor", "beta1": 0.8, "epsilon": 1e-6, "args": "a=1"}),
        ("set_lr_scheduler", {"name": "cosine", "warmup_ratio": 0.05, "max_steps": 50}),
        ("set_dataloader", {"train_batch_size": 16, "drop_last": True, "num_workers": 2, "sampler_seed": 3}),
    ]
    ours, other = TrainingArguments("x"), theirs(output_dir="x")
    for name, arguments in calls:
        assert getattr(ours, name)(**arguments) is ours
        getattr(other, name)(**arguments)
        ours_now, other_now = ours.to_dict(), other.to_dict()
        shared = set(ours_now) & set(other_now) - OTHERWISE - {"report_to"}
        changed = {k: (ours_now[k], other_now[k]) for k in shared if ours_now[k] != other_now[k]}
        # the reference leaves eval_delay at None here, on which its own flow fails
        assert changed in ({}, {"eval_delay": (0, None)})
        assert ours.report_to == []
    for name in ("set_evaluate", "set_save", "set_logging"):
        with pytest.raises(UsageError, match="steps is 0"):
            getattr(ours, name)("steps", 0)
    with pytest.raises(UsageError, match="jit_mode=True is not supported"):
        ours.set_testing(jit_mode=True)


def test_one_process_alone(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    ours, other = TrainingArguments("x", use_cpu=True, per_gpu_eval_batch_size=3), theirs(use_cpu=True)
    for name in ("train_batch_size", "n_gpu", "world_size", "process_index", "local_process_index", "should_log"):
        assert getattr(ours, name) == getattr(other, name), name
    for name in ("should_save", "place_model_on_device", "device", "ddp_timeout_delta", "local_rank"):
        assert getattr(ours, name) == getattr(other, name), name
    assert ours.parallel_mode.value == other.parallel_mode.value
    assert ours.eval_batch_size == 3
    with ours.main_process_first(desc="nothing"):
        pass


def test_one_process_of_several(monkeypatch):
    for name, value in (("WORLD_SIZE", "8"), ("RANK", "5"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    args = TrainingArguments("x", use_cpu=True, log_level="debug", log_level_replica="error")
    assert (args.world_size, args.process_index, args.local_process_index, args.local_rank) == (8, 5, 1, 1)
    assert (args.should_log, args.should_save, args.parallel_mode.value) == (False, False, "distributed")
    assert args.get_process_log_level() == logging.ERROR
    monkeypatch.setenv("LOCAL_RANK", "0")
    args = TrainingArguments("x", log_level="debug", log_on_each_node=True)
    assert (args.should_log, args.should_save) == (True, False)
    assert args.get_process_log_level() == logging.DEBUG
    assert TrainingArguments("x", save_on_each_node=True).should_save
    assert not TrainingArguments("x", log_on_each_node=False).should_log


def test_passive_leaves_the_log_level(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert TrainingArguments("x").get_process_log_level() == logging.getLogger("bothways").getEffectiveLevel()


@pytest.mark.parametrize("name", ["fp16", "fp16_full_eval"])
def test_float16_needs_a_gpu(name, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    args = TrainingArguments("x", **{name: True})
    instead = name.replace("fp", "bf")
    with pytest.raises(UsageError, match=f"{name}=True needs a GPU, but the device is cpu. Use {instead}=True"):
        _ = args.device
    with pytest.raises(UsageError, match="tf32=True needs an Ampere or newer GPU, but the device is cpu"):
        _ = TrainingArguments("x", tf32=True).device


def test_the_text_form_shows_values_and_hides_tokens():
    text = str(WithField("x", margin=0.25))
    assert text.startswith("WithField(\n") and "margin=0.25,\n" in text and "my_token=<MY_TOKEN>" in text
    assert "secret" not in text and "per_gpu" not in text
    args = WithField("x")
    assert args.to_dict()["my_token"] == "<MY_TOKEN>"
    lines, other = str(TrainingArguments("x")).splitlines(), str(theirs(output_dir="x")).splitlines()
    assert {"learning_rate=5e-05,", "eval_strategy=IntervalStrategy.NO,"} <= set(lines) & set(other)


def test_the_sanitised_form_has_plain_values_only():
    ours = TrainingArguments("x", lr_scheduler_kwargs='{"num_cycles": 2}')
    assert ours.lr_scheduler_kwargs == {"num_cycles": 2}
    clean = ours.to_sanitized_dict()
    assert clean["train_batch_size"] == 8 and clean["lr_scheduler_kwargs"] == "{'num_cycles': 2}"
    assert {type(value) for value in clean.values()} <= {bool, int, float, str}


def test_arguments_of_models_that_write():
    evaluation = {"evaluation_strategy": "epoch", "predict_with_generate": True, "generation_max_length": 5}
    args = Seq2SeqTrainingArguments("x", **evaluation)
    assert args.do_eval and args.generation_max_length == 5 and args.predict_with_generate


def test_the_names_of_schedules_and_optimizers_are_those_of_the_engine_and_the_reference():
    assert {member.name: member.value for member in reference.SchedulerType}.items() <= {
        member.name: member.value for member in SchedulerType
    }.items()
    assert {member.value for member in OptimizerNames} | {"adamw_hf"} == set(ENGINE_OPTIMIZERS)
    from transformers.training_args import OptimizerNames as Theirs

    assert {member.name: member.value for member in OptimizerNames}.items() <= {
        member.name: member.value for member in Theirs
    }.items()


def test_schedules_and_optimizers_are_members_and_texts():
    args = TrainingArguments("x", lr_scheduler_type="cosine", optim=OptimizerNames.SGD)
    assert args.lr_scheduler_type is SchedulerType.COSINE and args.lr_scheduler_type.value == "cosine"
    assert args.optim == "sgd" and args.optim.value == "sgd" and TrainingArguments("x").optim.value.startswith("adamw")
    assert args.to_dict()["lr_scheduler_type"] == "cosine" and '"optim": "sgd"' in args.to_json_string()
    changed = args.set_optimizer("adafactor").set_lr_scheduler("constant")
    assert (changed.optim.value, changed.lr_scheduler_type.value) == ("adafactor", "constant")
    with pytest.raises(UsageError, match="adamw_torch"):
        args.set_optimizer("adamm")


def test_names_of_other_libraries_lead_to_those_here():
    fields = {field.name for field in dataclasses.fields(ArgumentFields)}
    assert set(MEANT.values()) <= fields and not set(MEANT) & fields
    for wrong, meant in MEANT.items():
        with pytest.raises(ArgumentNameError, match=f"{wrong}.*Did you mean '{meant}'"):
            TrainingArguments("x", **{wrong: 1})


def test_making_arguments_imports_no_torch_and_writes_nothing(tmp_path):
    program = (
        "import sys, os; from bothways import TrainingArguments as A\n"
        "a = A('out', eval_strategy='epoch', bf16=True, no_cuda=True); a.to_json_string(); str(a); a.world_size\n"
        "assert 'torch' not in sys.modules and os.listdir('.') == [], os.listdir('.')\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    assert TrainingArguments().output_dir == "trainer_output"
    assert TrainingArguments(tmp_path).output_dir == str(tmp_path)
    assert not TrainingArguments("~/x").output_dir.startswith("~")
