"""Callbacks and state beside the reference: the same calls, the same decisions, the same files."""

from __future__ import annotations

import json
import logging
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import (
    DefaultFlowCallback,
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from bothways.errors import DataError, InputError, UsageError
from bothways.trainer.callback_handler import HOOKS
from bothways.trainer.callbacks import CallbackHandler, ExportableState, TensorBoardCallback

reference = pytest.importorskip("transformers")
ref_callbacks = pytest.importorskip("transformers.trainer_callback")


def handler_of(*callbacks, **others):
    return CallbackHandler([DefaultFlowCallback, *callbacks], **{**dict.fromkeys(PARTS), **others})


PARTS = ("model", "processing_class", "optimizer", "lr_scheduler")

RUNS = st.fixed_dictionaries(
    {
        "eval_strategy": st.sampled_from(["no", "steps", "epoch"]),
        "save_strategy": st.sampled_from(["no", "steps", "epoch", "best"]),
        "logging_strategy": st.sampled_from(["no", "steps", "epoch"]),
        "eval_steps": st.sampled_from([1, 2, 3, 0.3, None]),
        "save_steps": st.sampled_from([1, 2, 5, 0.5, 0, -1]),
        "logging_steps": st.sampled_from([1, 2, 4, 0.2]),
        "logging_first_step": st.booleans(),
        "eval_delay": st.sampled_from([0, 1, 1.5, 4]),
    }
)


def decisions(module, args, max_steps, per_epoch):
    """What the flow decides at each step and each end of an epoch of a run."""
    state = module.TrainerState(max_steps=max_steps)
    state.compute_steps(args, max_steps)
    control, flow = module.TrainerControl(), module.DefaultFlowCallback()
    taken = []
    for step in range(1, max_steps + 1):
        control._new_step()
        state.global_step, state.epoch = step, step / per_epoch
        control = flow.on_step_end(args, state, control)
        if step % per_epoch == 0:
            control = flow.on_epoch_end(args, state, control)
        taken.append((control.should_log, control.should_evaluate, control.should_save, control.should_training_stop))
    return taken


@given(RUNS, st.integers(1, 12), st.integers(1, 5))
@settings(max_examples=400, deadline=None)
def test_the_flow_decides_as_that_of_the_reference(drawn, max_steps, per_epoch):
    if drawn["save_strategy"] == "best" and drawn["eval_strategy"] == "no":
        drawn["eval_strategy"] = "steps"
    args = TrainingArguments("x", use_cpu=True, **drawn)
    ours = decisions(sys.modules[__name__], args, max_steps, per_epoch)
    assert ours == decisions(ref_callbacks, args, max_steps, per_epoch)


METRICS = st.lists(st.sampled_from([0.1, 0.5, 0.50005, 0.7, 0.9, float("nan")]), min_size=1, max_size=12)


def stops(module, args, values, patience, threshold):
    """After which evaluation training stops, with the best metric kept as a Trainer keeps it."""
    state, control = module.TrainerState(), module.TrainerControl()
    callback = module.EarlyStoppingCallback(patience, threshold)
    callback.on_train_begin(args, state, control)
    counters = []
    for value in values:
        callback.on_evaluate(args, state, control, metrics={"eval_score": value})
        counters.append((callback.early_stopping_patience_counter, control.should_training_stop))
        better = np.greater if args.greater_is_better else np.less
        if state.best_metric is None or better(value, state.best_metric):
            state.best_metric = value
    return counters, callback.state()


@given(METRICS, st.integers(1, 3), st.sampled_from([0.0, 0.001, 0.3]), st.booleans(), st.sampled_from(["", "eval_"]))
@settings(max_examples=150, deadline=None)
def test_early_stopping_stops_where_the_reference_stops(values, patience, threshold, greater, prefix):
    common = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True, "use_cpu": True}
    common |= {"metric_for_best_model": f"{prefix}score", "greater_is_better": greater}
    ours = stops(sys.modules[__name__], TrainingArguments("x", **common), values, patience, threshold)
    assert ours == stops(ref_callbacks, reference.TrainingArguments("x", **common), values, patience, threshold)


def test_early_stopping_says_what_it_lacks(caplog):
    callback, state, control = EarlyStoppingCallback(2), TrainerState(), TrainerControl()
    with pytest.raises(UsageError, match="needs metric_for_best_model"):
        callback.on_train_begin(TrainingArguments("x"), state, control)
    with pytest.raises(UsageError, match="eval_strategy is 'no'"):
        callback.on_train_begin(TrainingArguments("x", metric_for_best_model="loss"), state, control)
    args = TrainingArguments("x", metric_for_best_model="f1", eval_strategy="epoch")
    callback.on_train_begin(args, state, control)
    assert "without load_best_model_at_end=True" in caplog.text
    callback.on_evaluate(args, state, control, metrics={"eval_loss": 1.0})
    assert "found no eval_f1 among ['eval_loss']" in caplog.text
    assert callback.early_stopping_patience_counter == 0


def test_early_stopping_resumes_from_its_state():
    callback = EarlyStoppingCallback(3, 0.1)
    callback.early_stopping_patience_counter = 2
    again = EarlyStoppingCallback.from_state(json.loads(json.dumps(callback.state())))
    assert vars(again) == vars(callback)
    assert vars(ref_callbacks.EarlyStoppingCallback.from_state(callback.state())) == vars(callback)


def test_all_hooks_of_the_reference_are_there():
    theirs = {name for name in vars(ref_callbacks.TrainerCallback) if name.startswith("on_")}
    assert theirs | {"on_push_begin"} == set(HOOKS)


class Recorder(TrainerCallback):
    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda args, state, control, **kwargs: self.calls.append((name, args, state, control, kwargs))
        return super().__getattribute__(name)


def test_every_hook_gets_the_parts_of_the_run():
    parts = {name: object() for name in PARTS}
    recorder = Recorder()
    handler = handler_of(recorder, **parts)
    handler.train_dataloader, handler.eval_dataloader = object(), object()
    args, state, control = TrainingArguments("x"), TrainerState(max_steps=5), TrainerControl()
    expected = {**parts, "train_dataloader": handler.train_dataloader, "eval_dataloader": handler.eval_dataloader}
    for hook in set(HOOKS) - {"on_push_begin"}:
        more = {"on_evaluate": {"metrics": {"a": 1}}, "on_predict": {"metrics": {}}, "on_log": {"logs": {"b": 2}}}
        result = getattr(handler, hook)(args, state, control, *more.get(hook, {}).values())
        assert result is control
        assert recorder.calls.pop() == (hook, args, state, control, {**expected, **more.get(hook, {})})


@pytest.mark.parametrize(
    "hook, cleared, more",
    [
        ("on_train_begin", ["should_training_stop"], []),
        ("on_epoch_begin", ["should_epoch_stop"], []),
        ("on_step_begin", ["should_save", "should_evaluate", "should_log"], []),
        ("on_evaluate", ["should_evaluate"], [{}]),
        ("on_save", ["should_save"], []),
        ("on_log", ["should_log"], [{}]),
        ("on_substep_end", [], []),
    ],
)
def test_each_hook_clears_its_switches(hook, cleared, more):
    for handler, kind in (
        (handler_of(), TrainerControl),
        (ref_callbacks.CallbackHandler([ref_callbacks.DefaultFlowCallback], *[None] * 4), ref_callbacks.TrainerControl),
    ):
        control = kind(*[True] * 5)
        getattr(handler, hook)(TrainingArguments("x"), TrainerState(max_steps=9), control, *more)
        assert [name for name, value in vars(control).items() if not value] == sorted(
            cleared, key=list(vars(control)).index
        )


def test_new_trainings_epochs_and_steps_clear_switches_too():
    control = TrainerControl(*[True] * 5)
    control._new_training(), control._new_epoch()
    assert (control.should_training_stop, control.should_epoch_stop, control.should_save) == (False, False, True)
    control._new_step()
    assert control == TrainerControl() == TrainerControl.from_state(control.state())
    assert control.state() == ref_callbacks.TrainerControl().state()


class Stops(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        return TrainerControl(should_epoch_stop=True)


class Sees(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        self.seen = control.should_epoch_stop


def test_what_one_callback_returns_the_next_one_gets():
    sees = Sees()
    control = handler_of(Stops, sees).on_step_end(TrainingArguments("x"), TrainerState(max_steps=9), TrainerControl())
    assert sees.seen and control.should_epoch_stop


def test_a_callback_that_returns_something_else_is_named():
    class Wrong(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            return True

    with pytest.raises(InputError, match="Wrong.on_step_end returned True; it must return the control or nothing"):
        handler_of(Wrong).on_step_end(TrainingArguments("x"), TrainerState(max_steps=9), TrainerControl())


def test_callbacks_are_added_and_taken_out_by_class_or_instance(caplog):
    first, second = PrinterCallback(), PrinterCallback()
    handler = handler_of(first)
    handler.add_callback(second)
    assert "A PrinterCallback is added, but there is one already" in caplog.text
    assert handler.callback_list == "DefaultFlowCallback\nPrinterCallback\nPrinterCallback"
    assert handler.pop_callback(second) is second and handler.pop_callback(second) is None
    assert handler.pop_callback(PrinterCallback) is first and handler.pop_callback(PrinterCallback) is None
    handler.remove_callback(PrinterCallback)
    with pytest.raises(InputError, match="is not among the callbacks: DefaultFlowCallback"):
        handler.remove_callback(first)
    handler.remove_callback(DefaultFlowCallback)
    assert handler.callbacks == []


def test_what_is_no_callback_is_refused():
    with pytest.raises(InputError, match="is no callback"):
        handler_of(lambda args: None)


def test_callbacks_of_the_reference_are_called():
    class Theirs(reference.TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            logs["seen"] = True

    logs = {}
    handler = handler_of(Theirs)
    handler.on_log(TrainingArguments("x"), TrainerState(), TrainerControl(), logs)
    assert logs == {"seen": True}
    handler.call_event("on_push_begin", TrainingArguments("x"), TrainerState(), TrainerControl())


def test_a_run_without_a_flow_is_warned_of(caplog):
    CallbackHandler([PrinterCallback], *[None] * 4)
    assert "No DefaultFlowCallback among the callbacks (PrinterCallback)" in caplog.text


class MyFlow(DefaultFlowCallback):
    pass


def test_a_flow_of_ones_own_is_a_flow(caplog):
    CallbackHandler([MyFlow], *[None] * 4)
    assert caplog.text == ""


def test_a_misspelt_hook_draws_one_warning():
    class Misspelt(TrainerCallback):
        def on_epoch_ends(self, args, state, control, **kwargs):
            pass

    with pytest.warns(
        UserWarning, match="Misspelt.on_epoch_ends is never called.*Did you mean on_epoch_end?"
    ) as caught:
        handler_of(Misspelt)
    assert len(caught) == 1


LOGS = {"loss": 0.69314, "epoch": 0.123456, "total_flos": 5.0, "note": "x" * 120, "eval_f1": np.float64(0.5)}


def shown(capsys, callback, args, state, control, logs):
    callback.on_train_begin(args, state, control)
    callback.on_log(args, state, control, logs=dict(logs))
    callback.on_train_end(args, state, control)
    callback.on_log(args, state, control, logs=dict(logs))
    return capsys.readouterr().out


def test_logs_are_printed_as_the_reference_prints_them(capsys):
    args = TrainingArguments("x")
    ours = shown(capsys, ProgressCallback(), args, TrainerState(max_steps=4), TrainerControl(), LOGS)
    theirs = shown(capsys, ref_callbacks.ProgressCallback(), args, TrainerState(max_steps=4), TrainerControl(), LOGS)
    assert ours == theirs and ours.startswith("{'loss': 0.69314, 'epoch': 0.12, 'note': '[String too long")
    silent = TrainerState(max_steps=4, is_world_process_zero=False)
    assert shown(capsys, ProgressCallback(), args, silent, TrainerControl(), LOGS) == ""


def test_plain_lines_are_those_of_the_reference(capsys):
    for callback in (PrinterCallback(), ref_callbacks.PrinterCallback()):
        callback.on_log(TrainingArguments("x"), TrainerState(), TrainerControl(), logs={"loss": 1.5, "total_flos": 1.0})
        assert capsys.readouterr().out == "{'loss': 1.5}\n"
    logs = {"total_flos": 1.0}
    PrinterCallback().on_log(TrainingArguments("x"), TrainerState(), TrainerControl(), logs=logs)
    assert logs == {"total_flos": 1.0}, "what is logged afterwards still has it"


class Bar:
    """Stands for ``progress_bar``; notes what it shows."""

    def __init__(self):
        self.events = []

    def __call__(self, title, total, unit):
        self.events.append((title, total, unit))
        return self

    def __enter__(self):
        return lambda n: self.events.append(n)

    def __exit__(self, *exception):
        self.events.append("closed")


def test_the_bar_goes_with_the_steps(monkeypatch):
    bar = Bar()
    monkeypatch.setattr("bothways.trainer.callbacks.progress_bar", bar)
    callback, args, control = ProgressCallback(), TrainingArguments("x"), TrainerControl()
    state = TrainerState(max_steps=10, global_step=4)  # resumed
    callback.on_train_begin(args, state, control)
    for step in (5, 7):
        state.global_step = step
        callback.on_step_end(args, state, control)
    callback.on_prediction_step(args, state, control, eval_dataloader=[1, 2])
    callback.on_train_end(args, state, control)
    assert bar.events == [("Training", 10, "steps"), 4, 1, 2, "closed"]
    bar.events.clear()
    for _ in range(2):
        callback.on_prediction_step(args, state, control, eval_dataloader=[1, 2])
    callback.on_prediction_step(args, state, control, eval_dataloader=iter([]))
    callback.on_evaluate(args, state, control, metrics={})
    callback.on_predict(args, state, control, metrics={})
    assert bar.events == [("Evaluating", 2, "batches"), 1, 1, "closed"]


def test_lines_go_to_stdout_even_when_a_bar_has_taken_it(capsys, monkeypatch):
    real = sys.stdout
    proxy = types.SimpleNamespace(rich_proxied_file=real, write=lambda text: pytest.fail("into the bar's console"))
    monkeypatch.setattr(sys, "stdout", proxy)
    callback, args = ProgressCallback(), TrainingArguments("x")
    callback.on_train_begin(args, TrainerState(max_steps=1), TrainerControl())
    callback.on_log(args, TrainerState(max_steps=1), TrainerControl(), logs={"loss": 2.0})
    callback.on_train_end(args, TrainerState(max_steps=1), TrainerControl())
    monkeypatch.setattr(sys, "stdout", real)
    assert capsys.readouterr().out == "{'loss': 2.0}\n"


def test_tensorboard_gets_numbers_by_split():
    written = []
    writer = types.SimpleNamespace(
        add_text=lambda tag, text: written.append((tag, json.loads(text)["seed"])),
        add_scalar=lambda tag, value, step: written.append((tag, value, step)),
        flush=lambda: None,
        close=lambda: written.append("closed"),
    )
    callback, args, state = TensorBoardCallback(writer), TrainingArguments("x", seed=5), TrainerState(global_step=3)
    callback.on_train_begin(args, state, TrainerControl())
    logs = {"loss": 0.5, "eval_f1": 0.25, "test_f1": 1, "name": "text"}
    callback.on_log(args, state, TrainerControl(), logs=logs)
    callback.on_train_end(args, state, TrainerControl())
    assert written == [("args", 5), ("train/loss", 0.5, 3), ("eval/f1", 0.25, 3), ("test/f1", 1, 3), "closed"]


# the state


class Counts(TrainerCallback, ExportableState):
    def __init__(self, start=0):
        self.start, self.count = start, 0

    def state(self):
        return {"args": {"start": self.start}, "attributes": {"count": self.count}}


def test_a_state_is_written_as_the_reference_writes_it(tmp_path):
    content = {
        "epoch": 1.5,
        "global_step": 30,
        "max_steps": 60,
        "best_metric": 0.5,
        "total_flos": 2.0,
        "log_history": [{"loss": 0.1, "step": 10}],
    }
    ours = TrainerState(**content, stateful_callbacks=[EarlyStoppingCallback(), TrainerControl()])
    theirs = ref_callbacks.TrainerState(
        **content, stateful_callbacks=[ref_callbacks.EarlyStoppingCallback(), ref_callbacks.TrainerControl()]
    )
    ours.save_to_json(tmp_path / "ours.json")
    theirs.save_to_json(tmp_path / "theirs.json")
    assert (tmp_path / "ours.json").read_text() == (tmp_path / "theirs.json").read_text()
    assert TrainerState.load_from_json(tmp_path / "theirs.json") == ours
    assert ref_callbacks.TrainerState.load_from_json(tmp_path / "ours.json") == theirs


def test_numbers_that_json_has_not_become_null(tmp_path):
    history = [{"loss": float("nan"), "norm": np.float32(0.5), "per_class": np.array([1.0, np.inf])}]
    state = TrainerState(best_metric=float("inf"), log_history=history)
    state.save_to_json(tmp_path / "state.json")
    json.loads((tmp_path / "state.json").read_text(), parse_constant=pytest.fail)
    again = TrainerState.load_from_json(tmp_path / "state.json")
    assert again.best_metric is None
    assert again.log_history == [{"loss": None, "norm": 0.5, "per_class": [1.0, None]}]
    assert list(tmp_path.iterdir()) == [tmp_path / "state.json"]


def test_a_state_of_the_reference_with_nan_is_read(tmp_path):
    ref_callbacks.TrainerState(best_metric=float("nan")).save_to_json(tmp_path / "state.json")
    assert np.isnan(TrainerState.load_from_json(tmp_path / "state.json").best_metric)


def test_fields_that_are_not_known_are_named_and_left_out(tmp_path, caplog):
    (tmp_path / "state.json").write_text('{"global_step": 7, "from_the_future": 1}')
    with caplog.at_level(logging.WARNING):
        assert TrainerState.load_from_json(tmp_path / "state.json").global_step == 7
    assert "['from_the_future']" in caplog.text
    (tmp_path / "state.json").write_text("[1]")
    with pytest.raises(DataError, match="holds a list"):
        TrainerState.load_from_json(tmp_path / "state.json")


def test_several_callbacks_of_one_class_are_kept_apart():
    callbacks = [Counts(1), Counts(2), Counts(3)]
    state = TrainerState(stateful_callbacks=callbacks)
    starts = [Counts.from_state(one).start for one in state.stateful_callbacks["Counts"]]
    assert starts == [1, 2, 3]
    with pytest.raises(InputError, match="PrinterCallback has no exportable state"):
        TrainerState(stateful_callbacks=[PrinterCallback()])
    with pytest.raises(NotImplementedError, match="ExportableState must define state"):
        ExportableState().state()
    assert TrainerState().stateful_callbacks == {} and TrainerState(log_history=None).log_history == []


@given(st.integers(1, 1000), st.sampled_from([1, 7, 500, 0.1, 0.003, 0.999]), st.sampled_from([None, 3, 0.25]))
def test_shares_of_a_run_become_steps(max_steps, logging_steps, eval_steps):
    ours, theirs = TrainerState(), ref_callbacks.TrainerState()
    args = types.SimpleNamespace(logging_steps=logging_steps, eval_steps=eval_steps, save_steps=0.5)
    ours.compute_steps(args, max_steps)
    theirs.compute_steps(args, max_steps)
    assert vars(ours) == vars(theirs)


def test_the_beginning_of_a_run_is_noted():
    trainer = types.SimpleNamespace(is_local_process_zero=lambda: True, is_world_process_zero=lambda: False)
    state = TrainerState()
    state.init_training_references(trainer, 40, 4)
    assert (state.max_steps, state.num_train_epochs) == (40, 4)
    assert (state.is_local_process_zero, state.is_world_process_zero) == (True, False)
