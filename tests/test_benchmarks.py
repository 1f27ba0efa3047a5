"""The benchmarks run, on models and texts of a few bytes: options, answers, tables, files. No time is asserted."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import (
    _clock,
    _common,
    _fit_process,
    _frozen_reference,
    _processes,
    _task_inputs,
    _task_systems,
    _texts,
    _workers,
    _writers,
    checkpoint_cost,
    evaluation_memory,
    finetune,
    generation,
    head_only,
    memory,
    predict,
    quality,
    report,
    shared_machine,
    startup,
    tasks,
    two_processes,
)
from bothways.errors import BothwaysError, UsageError

WORDS = ["good", "bad", "film", "dull", "lovely", "plot", "the", "a", "is", "was", "very", "##ly", "##s", "."]
CPUINFO = """processor\t: 0
model name\t: Intel(R) Xeon(R) Gold 6430 CPU @ 2.10GHz
flags\t\t: fpu sse avx2 avx512f amx_tile amx_bf16

processor\t: 1
model name\t: Intel(R) Xeon(R) Gold 6430 CPU @ 2.10GHz
flags\t\t: fpu sse avx2 avx512f amx_tile amx_bf16
"""


class InProcess:
    """A worker in the process of the tests: the same questions and answers, without a start."""

    def __init__(self, name: str, make: Any, threads: int, **arguments: Any) -> None:
        self.name = name
        self.made = make(**arguments)

    def wait_until_ready(self) -> None: ...

    def ask(self, method: str, *arguments: Any) -> Any:
        return getattr(self.made, method)(*arguments)

    def close(self) -> None: ...

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *problem: object) -> None: ...


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    modules = (predict, finetune, memory, quality, tasks, head_only, two_processes, checkpoint_cost, evaluation_memory)
    for module in (*modules, generation):
        monkeypatch.setattr(module, "Worker", InProcess)
    monkeypatch.setattr(_workers, "PAUSE", 0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    directory = tmp_path_factory.mktemp("encoder")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (directory / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    transformers.BertTokenizerFast(vocab_file=str(directory / "vocab.txt")).save_pretrained(directory)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
    )
    transformers.BertModel(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    for folder in ("sst2", "text", "conll2003"):
        (directory / folder).mkdir()
    for part, count in (("testa", 9), ("train", 40)):
        with gzip.open(directory / "conll2003" / f"eng.{part}.gz", "wt") as out:
            out.write("-DOCSTART- -X- O O\n\n")
            out.write("a NN I-NP O\ndull NN I-NP I-PER\nfilm NN I-NP I-PER\n. . O O\n\n" * count)
    for name, count in (("train_sentences", 40), ("dev", 10)):
        with gzip.open(directory / "sst2" / f"{name}.jsonl.gz", "wt") as out:
            for i in range(count):
                text = f"the {['dull', 'lovely'][i % 2]} film was{' very' * (i // 2)} {['bad', 'good'][i % 2]}"
                out.write(json.dumps({"text": text, "label": i % 2}) + "\n")
    paragraph = " ".join(WORDS[:11] * 3)
    with lzma.open(directory / "text" / "wikipedia-en-valid.txt.xz", "wt") as out:
        out.write(f"Title\nShort heading.\n{paragraph}\n{paragraph}\n\nOther\n{paragraph} films badly\n")
    return directory


def read(path: Path) -> dict[str, Any]:
    result = json.loads(path.read_text())
    assert set(result) >= {"benchmark", "created", "options", "hardware", "versions", "tables", "raw"}
    page = path.with_suffix(".md").read_text()
    assert all(f"## {table['title']}" in page for table in result["tables"])
    return result


def test_hardware_names_the_file() -> None:
    machine = _common.hardware(CPUINFO)
    assert machine["processor"] == "Intel(R) Xeon(R) Gold 6430 CPU @ 2.10GHz"
    assert machine["features"] == ["avx2", "avx512f", "amx_tile", "amx_bf16"]
    machine["cores"] = 2
    assert _common.result_path("predict", machine, None).name == "predict-intel-xeon-gold-6430-2core.json"
    assert _common.result_path("predict", machine, Path("x.json")) == Path("x.json")


def test_tables_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    table = _common.Table(title="T", columns=("a|b", "c"), rows=(("[x]", "1"),), notes=("n",))
    assert _common.markdown_table(table).splitlines()[2:] == [
        r"| a\|b | c |",
        "| :--- | ---: |",
        "| [x] | 1 |",
        "",
        "n",
    ]
    _common.print_table(table)
    assert "[x]" in capsys.readouterr().out
    assert _common.spread([3000.0, 1000.0, 2000.0]) == "2,000 (1,000 to 3,000)"
    assert _common.spread([0.25], 1) == "0.2"
    # the machine was twice as slow in the second repetition, for both
    assert _common.median_ratio([1.0, 2.0, 1.0], [3.0, 6.0, 3.0]) == 3.0


def test_missing_data_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Pass --data DIR or set BOTHWAYS_DATA"):
        _common.data_file(None, "sst2", "dev.jsonl.gz")
    with pytest.raises(UsageError, match=r"no sst2/dev\.jsonl\.gz in"):
        _common.data_file(tmp_path, "sst2", "dev.jsonl.gz")


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (predict.parse, ["--repeats", "0"]),
        (predict.parse, ["--systems", "bothways,other"]),
        (predict.parse, ["--texts", ""]),
        (finetune.parse, ["--steps", "many"]),
        (memory.parse, ["--lines", "-5"]),
        (quality.parse, ["--sets", "imdb"]),
        (tasks.parse, ["--only", "ner-mixed,other"]),
        (tasks.parse, ["--share", "0"]),
        (startup.main, ["--repeats", "0"]),
    ],
)
def test_wrong_options_end_with_code_2(main: Any, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_a_worker_answers_and_explains_its_failures() -> None:
    with _workers.Worker("store", dict, 3, a=1) as worker:
        assert worker.ask("get", "a") == 1
        with pytest.raises(BothwaysError, match=r"(?s)store failed in 'pop'.*KeyError: 'b'"):
            worker.ask("pop", "b")
        assert worker.ask("get", "a") == 1
    with _workers.Worker("threads", os.getenv, 3, key="OMP_NUM_THREADS") as worker:
        assert worker.ask("strip") == "3"
    with (
        _workers.Worker("broken", int, 1, base=2) as worker,
        pytest.raises(BothwaysError, match="broken failed in 'start'"),
    ):
        worker.wait_until_ready()


def test_workers_take_turns_and_each_goes_first_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_workers, "PAUSE", 0)
    asked: list[str] = []

    def ask(worker: Any) -> int:
        asked.append(worker.name)
        return len(asked)

    workers: Any = [InProcess(name, dict, 1) for name in "abc"]
    answers = _workers.interleaved(workers, 3, ask)
    assert "".join(asked) == "abcbcacab"
    assert answers == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


def test_passages_are_distinct_and_reproducible(data: Path, encoder: Path) -> None:
    tokenizer = _texts.load_tokenizer(encoder)
    passages = _texts.mixed_passages(data, 12, tokenizer)
    assert len(set(passages)) == len(passages) == 12
    assert passages == _texts.mixed_passages(data, 12, tokenizer)
    assert passages != _texts.mixed_passages(data, 12, tokenizer, seed=1)
    assert all(_texts.SHORTEST <= n <= _texts.LONGEST for n in _texts.count_tokens(passages, tokenizer))


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(["good", "films", "filmsly", "badly", "is", "unknown", "."]), min_size=4, max_size=30
    ),
    wanted=st.integers(6, 40),
)
def test_a_cut_keeps_whole_words(encoder: Path, words: list[str], wanted: int) -> None:
    tokenizer = _texts.load_tokenizer(encoder)
    cut = _texts.cut(" ".join(words), wanted, tokenizer)
    kept = cut.split()
    assert kept == words[: len(kept)]
    assert len(tokenizer.encode(cut)) <= wanted
    if kept != words:  # nothing more would have fitted
        assert len(tokenizer.encode(" ".join(words[: len(kept) + 1]))) > wanted


def test_prediction(in_process: None, data: Path, encoder: Path, tmp_path: Path) -> None:
    if _common.is_installed("onnxruntime"):
        pytest.importorskip("onnx")
    names = [
        "bothways",
        "transformers-default",
        "transformers-batched",
        "transformers-sorted",
        "onnxruntime",
        "openvino",
    ]
    out = predict.main(
        [
            *("--data", str(data), "--model", str(encoder), "--threads", "1", "--repeats", "2", "--bf16", "no"),
            *(
                "--short",
                "6",
                "--mixed",
                "5",
                "--agreement",
                "8",
                "--head-texts",
                "20",
                "--out",
                str(tmp_path / "p.json"),
            ),
            *("--systems", ",".join([*names, "bothways-bf16"])),
        ]
    )
    result = read(out)
    ran = set(names) - set(result["left_out"])
    assert {"bothways", "transformers-sorted"} <= ran
    assert "no bfloat16" in result["left_out"]["bothways-bf16"]
    assert result["texts"]["short"]["count"] == 6 and result["texts"]["mixed"]["count"] == 5
    for kind in ("short", "mixed"):
        assert {name: len(times) for name, times in result["raw"]["seconds"][kind].items()} == dict.fromkeys(ran, 2)
    for name in ran:
        answers = result["raw"]["answers"][name]
        assert answers["max_difference_short"] < 1e-5 and answers["max_difference_mixed"] < 1e-5
        assert answers["agreement_short"] == 1.0
    assert result["raw"]["answers"]["bothways"]["agreement_agreement"] == 1.0
    assert [table["title"] for table in result["tables"]] == [
        "Prediction, short texts",
        "Prediction, mixed texts",
        "Targets",
    ]
    assert all(len(row) == len(table["columns"]) for table in result["tables"] for row in table["rows"])


def test_the_head_leaves_sentences_to_ask(in_process: None, data: Path, encoder: Path) -> None:
    with pytest.raises(UsageError, match="--head-texts is 1,500, but there are only 40 sentences"):
        predict.main(["--data", str(data), "--model", str(encoder)])


@pytest.mark.skipif(not _common.is_installed("transformers", "accelerate"), reason="needs the reference Trainer")
def test_finetuning_speed(in_process: None, data: Path, encoder: Path, tmp_path: Path) -> None:
    out = finetune.main(
        [
            *("--data", str(data), "--model", str(encoder), "--threads", "1", "--repeats", "2", "--bf16", "no"),
            *("--steps", "1", "--warm-up", "1", "--epochs", "2", "--out", str(tmp_path / "f.json")),
        ]
    )
    result = read(out)
    titles = ["Fine-tuning, speed: sst2", "Fine-tuning, memory: sst2"]
    titles += [title.replace("sst2", "conll2003") for title in titles]
    assert [table["title"] for table in result["tables"]] == [*titles, "Targets"]
    assert list(result["raw"]["steps"]) == ["sst2", "conll2003"]
    for steps in result["raw"]["steps"].values():
        assert list(steps) == ["bothways", "bothways-trainer", "trainer", "trainer-grouped"]
        # the second batch of the first epoch, in the same order: those that are left of 40
        tokens = {name: [one["tokens"] for one in own] for name, own in steps.items()}
        assert tokens["bothways"] == tokens["bothways-trainer"] == tokens["trainer"]
        assert all(len(one["step_seconds"]) == 1 and one["peak_megabytes"] > 1 for own in steps.values() for one in own)
    assert [row[:2] for row in result["tables"][-1]["rows"]] == [
        [f"{name}: {own} against trainer", "5.0 ×"]
        for name in ("sst2", "conll2003")
        for own in ("bothways", "bothways-trainer")
    ]


def test_a_step_in_parts_is_one_step() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    clock = _clock.StepClock(lambda args, kwargs: len(args[0]), warm_up=1, steps=2)
    passed = 0
    with clock.watching(model):
        for parts in ((1,), (2, 3), (4,), (5,), (6,)):
            for rows in parts:
                model(torch.ones(rows, 2)).sum().backward()
            optimizer.step()
            passed += 1
    assert passed == 3 and clock.reading()["tokens"] == 2 + 3 + 4
    assert len(clock.reading()["step_seconds"]) == 2
    model(torch.ones(1, 2))  # nobody watches any more
    assert len(clock.begun) == 4


def test_our_memory_is_not_above_the_trainers() -> None:
    peaks = {"bothways": 700.0, "bothways-trainer": 801.0, "trainer": 800.0, "trainer-grouped": 750.0}
    readings: Any = {name: [{"peak_megabytes": peak}, {"peak_megabytes": peak + 9}] for name, peak in peaks.items()}
    systems = [system for system in finetune.SYSTEMS if system.name in peaks]
    table = finetune.memory_table("sst2", systems, readings)
    assert [row[1:] for row in table.rows] == [
        ("700", "709", "0.88: yes"),
        ("801", "810", "1.00: no"),
        ("800", "809", "–"),
        ("750", "759", "–"),
    ]


@pytest.mark.skipif(not _common.is_installed("transformers", "accelerate"), reason="needs the reference Trainer")
def test_finetuning_accuracy(in_process: None, data: Path, encoder: Path, tmp_path: Path) -> None:
    out = finetune.main(
        [
            *("--data", str(data), "--model", str(encoder), "--threads", "1", "--bf16", "no", "--accuracy"),
            *("--seeds", "2", "--epochs", "2", "--out", str(tmp_path / "a.json")),
        ]
    )
    runs = read(out)["raw"]["runs"]
    assert set(runs) == {"bothways", "trainer"}
    assert all(len(run["accuracy"]) == 2 for own in runs.values() for run in own)
    assert finetune.mean_and_deviation([0.5, 0.7]) == "0.6000 ± 0.1414"


def test_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def measured(command: list[str], threads: int) -> _processes.Cost:
        count = len(Path(command[-1]).read_text().splitlines())
        return _processes.Cost(seconds=2.0, peak_megabytes=500.0 + 10 * count)

    monkeypatch.setattr(memory, "run_measured", measured)
    arguments = ["--lines", "300", "100", "--model", str(tmp_path), "--as-is", "--route", "pipeline"]
    table = read(memory.main([*arguments, "--out", str(tmp_path / "m.json")]))["tables"][0]
    assert table["rows"] == [["100", "1,500", "0", "50", "2", "–"], ["300", "3,500", "2,000", "150", "2", "no"]]


def test_processes_are_measured_and_failures_explained(tmp_path: Path) -> None:
    said = tmp_path / "said"
    program = "import os; print(os.environ['OMP_NUM_THREADS'])"
    cost = _processes.run_measured([sys.executable, "-c", program], 3, said)
    assert said.read_text() == "3\n" and cost.seconds > 0 and cost.peak_megabytes > 1
    with pytest.raises(BothwaysError, match=r"(?s)code 7.*wrong"):
        _processes.run_measured([sys.executable, "-c", "import sys; print('wrong', file=sys.stderr); sys.exit(7)"], 1)


def test_startup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    json_import = startup.TIMED_IMPORT.format(module="json")
    commands = {startup.EMPTY: [sys.executable, "-c", "pass"], startup.IMPORT: [sys.executable, "-c", json_import]}
    monkeypatch.setattr(startup, "commands", lambda: commands)
    result = read(startup.main(["--repeats", "1", "--out", str(tmp_path / "s.json")]))
    assert [row[0] for row in result["tables"][0]["rows"]] == [startup.EMPTY, startup.IMPORT]
    assert result["raw"]["runs"][startup.IMPORT][0]["with_torch"] is False
    with pytest.raises(BothwaysError, match="ended with code 3"):
        startup.run([sys.executable, "-c", "raise SystemExit(3)"])


def test_shared_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = "import os; assert ('GOMP_SPINCOUNT' in os.environ) + ('OMP_WAIT_POLICY' in os.environ) < 2"
    monkeypatch.setattr(shared_machine, "COMMAND", ("-c", asked))
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")  # of the shell: not taken over
    result = read(shared_machine.main(["--repeats", "1", "--busy", "1", "--out", str(tmp_path / "s.json")]))
    assert [row[:2] for row in result["tables"][0]["rows"]] == [
        ["as it comes", "GOMP_SPINCOUNT=10000"],
        ["OpenMP's own", "GOMP_SPINCOUNT=300000"],
        ["sleep at once", "OMP_WAIT_POLICY=passive"],
    ]
    monkeypatch.setattr(shared_machine, "COMMAND", ("-c", "raise SystemExit(3)"))
    with pytest.raises(BothwaysError, match="ended with code 3"):
        shared_machine.timed({}, 1, 60)
    monkeypatch.setattr(shared_machine, "COMMAND", ("-c", "import threading; threading.Event().wait()"))
    assert shared_machine.timed({}, 1, 0.1) == 0.1  # ended at its limit


def test_the_startup_commands_are_those_of_users() -> None:
    commands = startup.commands()
    assert commands[startup.HELP][-1] == "--help"
    assert "import bothways" in commands[startup.IMPORT][-1]


@pytest.mark.skipif(not _common.is_installed("transformers", "accelerate"), reason="needs the reference Trainer")
def test_quality(in_process: None, monkeypatch: pytest.MonkeyPatch, data: Path, encoder: Path, tmp_path: Path) -> None:
    from bothways import cli

    def in_this_process(command: list[str], threads: int) -> _processes.Cost:
        assert cli.run(command[command.index("train") :]) == 0
        return _processes.Cost(seconds=9.0, peak_megabytes=700.0)

    monkeypatch.setattr(quality, "run_measured", in_this_process)
    out = quality.main(
        [
            *("--data", str(data), "--model", str(encoder), "--threads", "1", "--sets", "sst2", "--epochs", "1"),
            *("--reference", "--out", str(tmp_path / "q.json")),
        ]
    )
    result = read(out)
    majority, baseline, ours, reference = result["tables"][0]["rows"]
    assert majority[1] == "0.5000"
    assert ours[0].startswith("sst2: bothways") and ours[4:6] == ["9", "700"]
    measured = result["raw"]["sst2"]["manifest"]["metrics"]["accuracy"]
    assert ours[1] == f"{measured:.4f}" and ours[6] == f"accuracy 0.875: {'yes' if measured >= 0.875 else 'no'}"
    assert reference[0] == "sst2: transformers Trainer, fp32" and len(reference) == len(baseline) == 7


@pytest.fixture(scope="module")
def task_data(data: Path) -> Path:
    """The data of the cases of tasks, beside the sentences and passages."""
    for folder in ("ag_news", "bbc_news", "imdb", "squad"):
        (data / folder).mkdir()
    for folder in ("ag_news", "bbc_news", "imdb"):
        with gzip.open(data / folder / "train.jsonl.gz", "wt") as out:
            for i in range(4):
                out.write(json.dumps({"text": f"{folder} the film was{' very' * i} good.", "label": 0}) + "\n")
    found = []
    for i in range(6):
        context = f"The plot was{' very' * i} lovely. The film is dull."
        answer = {"answer_start": 4, "text": "plot"}
        found.append(
            {"context": context, "qas": [{"id": str(i), "question": f"is the film {WORDS[i]} ?", "answers": [answer]}]}
        )
    with gzip.open(data / "squad" / "dev-v1.1-part.json.gz", "wt") as out:
        out.write(json.dumps({"version": "1.1", "data": [{"title": "Film", "paragraphs": found}]}))
    return data


@pytest.mark.skipif(not _common.is_installed("transformers", "sklearn"), reason="needs the reference's pipelines")
def test_tasks(in_process: None, task_data: Path, encoder: Path, tmp_path: Path) -> None:
    out = tasks.main(
        [
            *("--data", str(task_data), "--model", str(encoder), "--threads", "1", "--repeats", "2"),
            *("--share", "0.02", "--out", str(tmp_path / "t.json")),
        ]
    )
    result = read(out)
    raw = result["raw"]
    assert list(raw) == ["zero-shot", "ner-mixed", "qa-mixed", "fill-mask", "long-qa", "embed"]
    for case, systems in raw.items():
        count = result["inputs"][case]["count"]
        for name, own in systems.items():
            assert len(own["seconds"]) == 2 and own["peak_megabytes"] > 1
            if name != "bothways":  # the same answers, or where ours mean something else, those of version 4
                assert own.get("different_v4", own["different"]) == 0, (case, name)
                assert 0 <= own["different"] <= count
    # equal inputs once: 20 texts are asked for, of which every fifth is there already
    assert raw["embed"]["bothways"]["computed_sequences"] <= 0.8 * result["inputs"]["embed"]["count"] + 1
    # to this vocabulary ten labels are one or two unknown words
    assert raw["zero-shot"]["bothways"]["computed_sequences"] == 2 * 2
    assert raw["long-qa"]["bothways"]["computed_sequences"] >= 1
    table = result["tables"][0]
    assert all(len(row) == len(table["columns"]) for row in table["rows"])
    wanted = {row[0]: row[4] for row in table["rows"]}
    assert wanted["zero-shot: transformers pipeline"] == "5.0"
    assert wanted["zero-shot: transformers pipeline, batch_size=32"] == "–"
    assert wanted["fill-mask: transformers pipeline"] == "2.0"


def test_promises_are_about_the_peers_defaults() -> None:
    case = _task_inputs.Case(
        name="c", task="zero-shot-classification", inputs=["a", "b"], about="two", wanted=4.0, batched=True
    )
    raw = {
        "c": {
            "bothways": {"seconds": [1.0, 2.0], "peak_megabytes": 500.0, "computed_sequences": 7},
            "transformers pipeline": {"seconds": [3.9, 7.8], "peak_megabytes": 600.0, "different": 1},
            "transformers pipeline, batch_size=32": {"seconds": [5.0, 10.0], "peak_megabytes": 700.0, "different": 0},
        }
    }
    table = tasks.tasks_table([case], raw, {"other": "needs other"})
    first, second = table.rows
    assert first[3:] == ("3.90", "4.0", "no", "500 / 600", "1 of 2")
    assert second[3:] == ("5.00", "–", "–", "500 / 700", "2 of 2")
    assert table.notes[0] == "c: two; rows computed by us: 7." and table.notes[-1] == "Left out: other (needs other)."


def test_answers_are_compared_without_their_scores() -> None:
    entity = {"entity_group": "PER", "start": 1, "end": 4}
    answers = [_task_systems.comparable("token-classification", [entity | {"score": s}]) for s in (0.5, 0.6)]
    assert _task_systems.differences("token-classification", answers[:1], answers[1:]) == 0
    moved = [_task_systems.comparable("token-classification", [entity | {"end": 5}])]
    assert _task_systems.differences("token-classification", answers[:1], moved) == 1
    vectors = [_task_systems.comparable("embedding", [0.1, 0.2 + d]) for d in (0.0, 1e-5, 1e-3)]
    assert _task_systems.differences("embedding", vectors[:1] * 2, vectors[1:]) == 1


@pytest.mark.skipif(not _common.is_installed("transformers"), reason="needs the reference to make models")
def test_memory_of_streams(in_process: None, task_data: Path, encoder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(task_data), "--model", str(encoder), "--threads", "1", "--rows", "5"]
    result = read(memory.main([*arguments, "--cases", "questions", "--out", str(tmp_path / "m.json")]))
    assert result["benchmark"] == "memory-streams" and list(result["raw"]) == ["streams"]
    found = result["raw"]["streams"]["questions"]
    assert found["rows"] == 5 and 1 < found["start"] <= found["tenth"] <= found["end"]
    rows = tmp_path / "rows.jsonl"
    assert memory.write_rows(memory.parse(arguments), "entities", rows) == 5
    assert [json.loads(line) for line in rows.read_text().splitlines()] == ["a dull film ."] * 5


def test_a_stream_may_not_grow() -> None:
    same = {"rows": 5553, "start": 500.0, "tenth": 700.0, "end": 799.0, "seconds": 60.0}
    table = memory.stream_table({"questions": same, "entities": same | {"end": 801.0}})
    assert table.rows[0] == ("questions: question-answering", "5,553", "500", "200", "299", "60", "yes")
    assert table.rows[1][-3:] == ("301", "60", "no")


def in_this_process(command: list[str], threads: int, output: Path | None = None) -> _processes.Cost:
    """What ``run_measured`` does, without a process: commands of ours and modules of the benchmarks."""
    from bothways import cli

    modules = {"benchmarks._frozen_reference": _frozen_reference, "benchmarks._fit_process": _fit_process}
    for name, module in modules.items():
        if name in command:
            module.main(command[command.index(name) + 1 :])
            break
    else:
        assert cli.run(command[3:]) == 0
    return _processes.Cost(seconds=9.0, peak_megabytes=700.0)


@pytest.mark.skipif(not _common.is_installed("transformers", "accelerate"), reason="needs the reference Trainer")
def test_head_only(
    in_process: None, monkeypatch: pytest.MonkeyPatch, data: Path, encoder: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(head_only, "run_measured", in_this_process)
    arguments = ["--data", str(data), "--model", str(encoder), "--threads", "1", "--repeats", "2"]
    out = head_only.main([*arguments, "--texts", "32", "--epochs", "2", "--out", str(tmp_path / "h.json")])
    result = read(out)
    assert {name: len(own) for name, own in result["raw"]["runs"].items()} == {
        head_only.OURS: 2,
        head_only.REFERENCE: 2,
    }
    assert all(0 <= one["accuracy"] <= 1 for own in result["raw"]["runs"].values() for one in own)
    first, second = result["tables"][0]["rows"]
    assert first[1:3] == ["9.0 (9.0 to 9.0)", "1.0"] and second[-1] == "20 ×: no"


@pytest.mark.skipif(not _common.is_installed("transformers"), reason="needs the reference to make models")
def test_two_processes(
    in_process: None, monkeypatch: pytest.MonkeyPatch, data: Path, encoder: Path, tmp_path: Path
) -> None:
    commands: list[list[str]] = []

    def noted(command: list[str], threads: int) -> _processes.Cost:
        commands.append([*command, str(threads)])
        return in_this_process(command, threads)

    monkeypatch.setattr(two_processes, "run_measured", noted)
    arguments = ["--data", str(data), "--model", str(encoder), "--threads", "2", "--repeats", "2"]
    with pytest.raises(UsageError, match=r"1 \+ 1 \+ 1 steps need 96 sentences, and there are 40"):
        two_processes.main([*arguments, "--steps", "1", "--warm-up", "1"])
    monkeypatch.setattr(two_processes, "GLOBAL_BATCH", 8)
    out = two_processes.main([*arguments, "--steps", "2", "--warm-up", "1", "--out", str(tmp_path / "t.json")])
    steps = read(out)["raw"]["steps"]
    assert {name: [len(one["step_seconds"]) for one in own] for name, own in steps.items()} == {
        "1 × 2": [2, 2],
        "2 × 1": [2, 2],
    }
    assert len({one["tokens"] for own in steps.values() for one in own}) == 1
    starts = [command[2] for command in commands]
    assert starts == ["benchmarks._fit_process", *["torch.distributed.run"] * 2, "benchmarks._fit_process"]
    assert [command[-1] for command in commands] == ["2", "1", "1", "2"]


def test_the_cost_of_checkpoints(in_process: None, data: Path, encoder: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(data), "--model", str(encoder), "--threads", "1", "--folder", str(tmp_path)]
    arguments += ["--every", "1", "--saves", "1", "--epochs", "1", "--texts", "8"]
    raw = read(checkpoint_cost.main([*arguments, "--out", str(tmp_path / "c.json")]))["raw"]
    assert len(raw["few"]["save_seconds"]) == 1 and raw["few"]["checkpoint_bytes"][0] > 10_000
    assert raw["whole"]["save_seconds"] == []  # shorter than the interval
    run = {"save_seconds": [2.0, 3.0, 4.0], "checkpoint_bytes": [1e6] * 3, "seconds": 200.0, "interval": 400.0}
    table = checkpoint_cost.checkpoint_table({"few": run, "whole": run})
    assert table.rows[0][1:] == ("3", "3.00 (2.00 to 4.00)", "1", "200", "400", "0.74 %", "< 2 %: yes")
    assert table.rows[1][-2:] == ("4.50 %", "< 2 %: no")


@pytest.mark.skipif(not _common.is_installed("transformers"), reason="needs the reference to make models")
def test_memory_of_evaluation(in_process: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def measured(command: list[str], threads: int) -> _processes.Cost:
        asked.append(command)
        if "evaluate" in command:
            return in_this_process(command, threads)
        monkeypatch.setattr(sys, "argv", ["-c", *command[3:]])
        exec(command[2], {})  # the program that a process of its own would run
        return _processes.Cost(seconds=2.0, peak_megabytes=700.0 + 20 * int(command[-1]))

    monkeypatch.setattr(evaluation_memory, "run_measured", measured)
    out = evaluation_memory.main(["--threads", "1", "--rows", "9", "3", "--out", str(tmp_path / "e.json")])
    rows = read(out)["tables"][0]["rows"]
    assert [row[1:] for row in rows[:2]] == [["3", "760", "0", "2", "–"], ["9", "880", "120", "2", "no"]]
    assert [row[-1] for row in rows[4:]] == ["–", "yes"]
    assert [command[-3] for command in asked[:4]] == ["texts", "texts", "words", "words"]


def test_report(encoder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, count, long in (
        ("sst2", 300, ""),
        ("imdb", 60, " It was rather long, they say.<br />And it ended at last!"),
    ):
        (tmp_path / name).mkdir()
        with gzip.open(tmp_path / name / "train.jsonl.gz", "wt") as out:
            for i in range(count):
                out.write(json.dumps({"text": f"a {WORDS[i % 2]} film {i}{long}", "label": (i + 1) % 2}) + "\n")
    monkeypatch.setattr(report, "run_measured", in_this_process)
    options = ["--threads", "1", "--rows", "200", "--minutes", "0.02", "--model", str(encoder), "--data", str(tmp_path)]
    out = report.main([*options, "--out", str(tmp_path / "r.json")])
    result = read(out)
    assert [row[0] for row in result["tables"][0]["rows"]] == ["200"] and result["raw"]["costs"]["200"][
        "peak_megabytes"
    ] > 0
    assert result["raw"]["training"]["tokens_per_row"] > 5
    with pytest.raises(BothwaysError, match=r"there are 420 sentences; expected 600 for --rows 300"):
        report.main([*options[:2], "--rows", "300", *options[4:], "--out", str(out)])


def test_generation(in_process: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny = {"gpt2": {"vocab_size": 97, "n_embd": 16, "n_layer": 1, "n_head": 2}}
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": 97}
    monkeypatch.setattr(_writers, "SIZES", {**tiny, "t5-base": {**sizes, "decoder_start_token_id": 0}})
    out = tmp_path / "generation.json"
    generation.main(["--threads", "1", "--repeats", "1", "--new-tokens", "4", "--out", str(out)])
    result = json.loads(out.read_text())
    assert [table["title"] for table in result["tables"]] == ["gpt2, float32", "t5-base, float32"]
    for table in result["tables"]:
        assert [row[0] for row in table["rows"]] == [case.title for case in _writers.CASES]
        assert [row[-1] for row in table["rows"]] == ["yes"] * 4, "the same ids as the reference"
