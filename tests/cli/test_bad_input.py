"""What goes wrong for users: a sentence with the numbers, exit code 1 or 2, nothing half-written."""

from __future__ import annotations

import errno
import gzip
import json
import os
import subprocess
import sys

import pytest

from bothways.directories import publishing
from tests.conftest import json_lines, sentences

ROWS = sentences(30)


def csv_of(rows) -> str:
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)


BAD_FILES = {
    # name: (content, options, exit code, what the message says)
    "empty.csv": (b"", [], 1, "empty"),
    "header.csv": (b"text,label\n", [], 1, "header"),
    "column.csv": (csv_of(ROWS).encode(), ["--text-column", "txt"], 2, "Columns: text, label"),
    "one_class.csv": (csv_of([(text, "pos") for text, _ in ROWS]).encode(), [], 1, "'pos'"),
    "latin1.csv": (csv_of(ROWS).encode() + "caf\xe9,pos\n".encode("latin-1"), [], 1, "UTF-8"),
    "ragged.csv": (csv_of(ROWS).encode() + b"one,two,three\n", [], 1, "line 32"),
    "nan.jsonl": (
        b"".join(json.dumps({"text": t, "score": i / 7}).encode() + b"\n" for i, (t, _) in enumerate(ROWS))
        + b'{"text": "x", "score": NaN}\n',
        [],
        1,
        "line 31",
    ),
    "broken.jsonl": (b'{"text": "a", "label": "b"}\n{"text": \n', [], 1, "line 2"),
    "cut.csv.gz": (gzip.compress(csv_of(ROWS * 50).encode())[:-40], [], 1, "gz"),
    "two.csv": (b"alpha,beta\n1,2\n3,4\n", [], 2, "alpha, beta"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(name, tiny_model, command, tmp_path):
    content, options, exit_code, message = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    code, out, err = command("train", path, "-o", tmp_path / "out", "--model", tiny_model, *options)
    assert code == exit_code, err
    assert message in err and err.startswith("error: ")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_wrong_use(tiny_model, reviews, command, tmp_path):
    def refused(*words, message: str) -> None:
        code, _, err = command(*words)
        assert code == 2 and message in err, err

    out = ["-o", tmp_path / "out"]
    refused("train", tmp_path / "reviewz.csv", *out, message="reviewz.csv")
    refused("train", tmp_path, *out, message="directory")
    refused("train", reviews, "-o", reviews, message="is a file; give a directory")
    refused("train", reviews, "-o", tiny_model, message="is not empty")
    refused("train", reviews, "-o", reviews / "x", message="is a file")
    refused("train", reviews, "-o", tmp_path / ("n" * 245), message="245 bytes")
    refused("train", reviews, *out, "--minutes", "inf", message="minutes is inf")
    refused("train", reviews, *out, "--seed", -1, message="seed is -1, expected a whole number from 0")
    refused("train", reviews, *out, "--encoding", "rot13", message="unknown encoding 'rot13'")
    refused("predict", tiny_model, reviews, "--top-k", -1, message="--top-k is -1")
    refused("predict", tiny_model, reviews, "--long-input", "cut", message="expected one of window, truncate, error")
    refused("predict", tiny_model, reviews, "-o", tmp_path, message="is a directory; give the name of a file")
    refused("train", reviews, *out, "--epochs", 0, message="epochs is 0, expected a whole number from 1")
    refused("train", reviews, *out, "--task", "ner2", message="unknown task 'ner2'. Known tasks: text-classification")
    refused("train", reviews, *out, "--precision", "int3", message="precision is 'int3'; expected one of auto")
    refused("train", reviews, *out, "--model", tiny_model, "--max-length", 99, message="reads from 4 to 32 tokens")
    refused("train", reviews, message="--output")
    refused("predict", tiny_model, "nowhere.txt", message="nowhere.txt")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_names_the_nearest(reviews, command, tmp_path, monkeypatch):
    monkeypatch.setenv("BOTHWAYS_OFFLINE", "1")
    code, _, err = command("train", reviews, "-o", tmp_path / "out", "--model", "minilm-16")
    assert code == 2 and "minilm-l6" in err


def test_a_model_without_the_head(tiny_model, command, tmp_path):
    (tmp_path / "t.txt").write_text("a\n")
    code, _, err = command("predict", tiny_model, tmp_path / "t.txt")
    assert code == 1 and "BertModel" in err and "bothways train" in err


def test_the_current_directory_is_not_replaced(tiny_model, reviews, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = command("train", reviews, "-o", ".", "--model", tiny_model)
    assert code == 2 and "is the current directory" in err and list(tmp_path.iterdir()) == []


def test_weights_that_are_no_numbers(trained, command, tmp_path, reviews):
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(trained, tmp_path / "nan")
    weights = load_file(trained / "model.safetensors")
    weights["classifier.weight"].fill_(float("nan"))
    save_file(weights, tmp_path / "nan" / "model.safetensors", metadata={"format": "pt"})
    for verb in ("predict", "evaluate"):
        code, out, err = command(verb, tmp_path / "nan", reviews)
        assert code == 1 and "gives no numbers (NaN or infinite)" in err and "NaN" not in out


def test_pairs_asked_of_a_model_of_single_texts(trained, command, tmp_path):
    (tmp_path / "pairs.csv").write_text("text_a,text_b,label\na good film,a book,pos\na bad film,a book,neg\n")
    code, _, err = command("evaluate", trained, tmp_path / "pairs.csv")
    assert code == 0 and "was trained on single texts and is asked about pairs of texts" in err


def test_labels_that_training_never_saw(trained, command, tmp_path, reviews, tiny_model):
    path = tmp_path / "new.csv"
    path.write_text(csv_of([*ROWS, ("a film", "neutral"), ("a book", "neutral")]))
    code, _, err = command("evaluate", trained, path)
    assert code == 1 and "2 labels of 32 examples are unknown to the model: 'neutral' (2)" in err
    code, _, err = command("train", reviews, "--eval", path, "-o", tmp_path / "out", "--model", tiny_model)
    assert code == 1 and "'neutral' (2)" in err and not (tmp_path / "out").exists()


def test_blank_texts_are_counted_and_stay_aligned(trained, tiny_model, command, tmp_path):
    path = tmp_path / "blank.csv"
    path.write_text(csv_of([*ROWS, ("", "pos"), ("   ", "neg")]))
    code, out, _ = command("predict", trained, path)
    assert code == 0 and len(json_lines(out)) == 32
    code, _, err = command("train", path, "-o", tmp_path / "out", "--model", tiny_model, "--epochs", 1)
    assert code == 0 and "2 blank texts were skipped." in err


def test_a_byte_order_mark_and_a_line_of_five_megabytes(trained, command, tmp_path):
    path = tmp_path / "long.csv"
    path.write_bytes(b"\xef\xbb\xbftext,label\n" + b"good film " * 500_000 + b",pos\nbad,neg\n")
    code, out, err = command("predict", trained, path)
    lines = json_lines(out)
    assert code == 0 and len(lines) == 2 and lines[0]["label"] == "pos" and lines[0]["n_tokens"] == 1_000_002
    assert "1 of 2 inputs were windowed." in err


def test_a_full_disk_leaves_nothing(trained, tiny_model, reviews, command, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = command("train", reviews, "-o", tmp_path / "out", "--model", tiny_model, "--epochs", 1)
    assert code == 1 and "disk" in err.lower() and list(tmp_path.iterdir()) == []
    (tmp_path / "t.txt").write_text("good\n")
    code, _, err = command("predict", trained, tmp_path / "t.txt", "-o", tmp_path / "a.jsonl")
    assert (
        code == 1
        and f"The disk is full ({tmp_path / 'a.jsonl'})" in err
        and [p.name for p in tmp_path.iterdir()] == ["t.txt"]
    )


def test_a_limit_on_the_size_of_files_is_told(trained, command, tmp_path, monkeypatch):
    def limited(handle):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr(os, "fsync", limited)
    (tmp_path / "t.txt").write_text("good\n")
    code, _, err = command("predict", trained, tmp_path / "t.txt", "-o", tmp_path / "a.jsonl")
    assert code == 1 and f"may store was reached ({tmp_path / 'a.jsonl'})" in err and "ulimit -f" in err


def test_an_unforeseen_problem_is_a_sentence_too(trained, command, tmp_path, monkeypatch):
    import bothways.data

    def broken(*_args, **_options):
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(bothways.data, "iter_texts", broken)
    code, _, err = command("predict", trained, "-")
    assert code == 1 and "ZeroDivisionError: nobody thought of this" in err and "BOTHWAYS_DEBUG=1" in err


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("data", None, "the path of a file in UTF-8, or a list of them"),
        ("data", [b"a.csv"], "the path of a file in UTF-8, or a list of them"),
        ("output", 5, "the path of a file or directory in UTF-8"),
        ("output", "a\0b", "the path of a file or directory in UTF-8"),
        ("output", "caf\udce9", "the path of a file or directory in UTF-8"),
        ("model", 5, "a name or the path of a directory"),
        ("epochs", 2.0, "a whole number"),
        ("seed", True, "a whole number"),
        ("minutes", "5", "a number"),
        ("text_column", ["text"], "a text"),
        ("task", None, "a text"),
        ("say", "loud", "a function of one line"),
    ],
)
def test_arguments_of_a_wrong_type(name, value, expected, reviews, tiny_model, tmp_path):
    from bothways import train
    from bothways.errors import UsageError

    given = {"data": reviews, "output": tmp_path / "out", "model": tiny_model} | {name: value}
    with pytest.raises(UsageError) as problem:
        train(given.pop("data"), given.pop("output"), **given)
    assert str(problem.value) == f"{name} is {value!r} ({type(value).__name__}); expected {expected}."
    assert list(tmp_path.iterdir()) == []


def test_questions_of_which_none_can_be_learned(tiny_model, command, tmp_path):
    rows = [
        {"question": w, "context": f"the {w} was good", "answers": {"text": ["zz"], "answer_start": [0]}}
        for w in "abcdefghij"
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--task", "question-answering", "--model", tiny_model)
    code, _, err = command("train", tmp_path / "q.jsonl", "-o", tmp_path / "out", *words)
    assert code == 1 and "none of the 8 questions to train on has its answer in its context" in err
    assert not (tmp_path / "out").exists()


def test_choices_that_cannot_be_divided(tiny_model, command, tmp_path):
    def trained_on(*rows: dict) -> tuple[int, str, str]:
        (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        words = ("--task", "multiple-choice", "--model", tiny_model, "--epochs", 1)
        return command("train", tmp_path / "c.jsonl", "-o", tmp_path / "out", *words)

    rows = [{"question": "which", "choices": ["good", f"film {w}"], "label": i % 2} for i, w in enumerate("abcdefghij")]
    code, _, err = trained_on(*rows, {"question": "which", "choices": ["a", "b", "c"], "label": 1})
    assert code == 1 and "10 have 2; 1 have not, the first in row 11 with 3" in err
    code, _, err = trained_on(*rows[:2] * 5)
    assert code == 1 and "10 questions, in 2 groups that stay together, are too few to hold a part out" in err
    assert not (tmp_path / "out").exists()
    code, _, err = trained_on(*rows)  # all about one text
    assert code == 0 and "8 questions to train on, 2 held out" in err


def test_places_where_no_file_can_be_written(trained, tiny_model, command, tmp_path):
    (tmp_path / "t.txt").write_text("good\nbad\n")
    (tmp_path / "link.txt").symlink_to(tmp_path / "t.txt")
    for output, message in (
        ("t.txt", "is the file that is read; give another name"),
        ("link.txt", "is the file that is read; give another name"),
        ("t.txt/a.jsonl", f"{tmp_path / 't.txt'} is a file; give a place in a directory"),
        ("", "is a directory; give the name of a file"),
    ):
        for words in (("predict", trained), ("embed", "--model", tiny_model)):
            code, _, err = command(*words, tmp_path / "t.txt", "-o", tmp_path / output)
            assert code == 2 and message in err, err
    assert (tmp_path / "t.txt").read_text() == "good\nbad\n"
    code, _, err = command("predict", trained, tmp_path / "t.txt", "-o", tmp_path / "new" / "a.jsonl")
    assert code == 0 and len((tmp_path / "new" / "a.jsonl").read_text().splitlines()) == 2


def test_blank_lines_between_labels_without_training(trained, command, tmp_path):
    (tmp_path / "t.txt").write_text("good\n\nbad\n")
    zero = ("--task", "zero-shot-classification", "--labels", "a,b")
    code, out, err = command("predict", trained, tmp_path / "t.txt", *zero)
    assert code == 0 and [line["row"] for line in json_lines(out)] == [1, 2, 3], err


def test_a_tokeniser_of_another_model(tiny_model, trained, reviews, command, tmp_path):
    import shutil

    from bothways import BertTokenizerFast

    (tmp_path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(500))])
    )
    for name, model in (("body", tiny_model), ("classifier", trained)):
        shutil.copytree(model, tmp_path / name)
        BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / name)
    for words in (
        ("train", reviews, "-o", tmp_path / "out", "--model", tmp_path / "body"),
        ("predict", tmp_path / "classifier", reviews),
        ("evaluate", tmp_path / "classifier", reviews),
    ):
        code, _, err = command(*words)
        assert code == 1 and "the tokeniser has 505 tokens, but the model has embeddings for" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["{", "[]", "null", "{}", '{"data": 5}', '{"data": {"columns": []}}'])
def test_a_record_of_the_training_that_was_changed_by_hand(content, trained, reviews, command, tmp_path):
    import shutil

    shutil.copytree(trained, tmp_path / "model")
    (tmp_path / "model" / "bothways.json").write_text(content)
    code, out, err = command("evaluate", tmp_path / "model", reviews)
    assert code == 0 and "accuracy" in out, err


def test_labels_of_a_configuration_that_are_none(trained, command, tmp_path):
    import shutil

    shutil.copytree(trained, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "t.txt").write_text("good\n")
    for wrong, message in (
        ({"id2label": 5}, "id2label is 5; expected an object of number and label, or a list"),
        ({"id2label": None, "label2id": 5}, "label2id is 5; expected an object of label and number"),
    ):
        (tmp_path / "model" / "config.json").write_text(json.dumps(config | wrong))
        code, _, err = command("predict", tmp_path / "model", tmp_path / "t.txt")
        assert code == 1 and message in err, err


def test_a_named_pipe_is_not_replaced_by_a_result(tiny_model, reviews, command, tmp_path):
    """Nor a device: to Python neither is a file, and renaming a directory there would destroy it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a few words\n")
    for words in (
        ("train", reviews, "-o", pipe, "--model", tiny_model),
        ("tokenizer", "train", corpus, "-o", pipe),
        ("tokenizer", "train", corpus, "-o", pipe / "below"),
        ("pretrain", "--data", corpus, "--config", "mini", "-o", pipe),
    ):
        code, _, err = command(*words)
        assert code == 2 and "is a file; give a directory" in " ".join(err.split()), err
        assert pipe.is_fifo() and sorted(p.name for p in tmp_path.iterdir()) == ["corpus.txt", "pipe"]
    with pytest.raises(OSError, match="no directory, and would be lost"), publishing(pipe):
        pass
    assert pipe.is_fifo()


def test_a_directory_is_not_answered_as_a_text(trained, command, tmp_path):
    (tmp_path / "texts").mkdir()
    code, out, err = command("predict", trained, tmp_path / "texts")
    assert (code, out) == (2, "") and f"{tmp_path / 'texts'} is a directory. Give a file" in " ".join(err.split())


def test_bytes_of_another_encoding_from_standard_input(trained):
    done = shell(f"printf 'caf\\351\\n' | {PYTHON} -m bothways predict {trained} -")
    assert done.returncode == 1 and "name that (--encoding latin-1)" in done.stderr and "iconv" not in done.stderr


def test_closed_streams(trained, reviews, tmp_path):
    """As some daemons begin processes; a file that is opened would take the number of a closed stream."""
    predict = f"{PYTHON} -m bothways predict {trained} {reviews}"
    expected = shell(predict)
    assert expected.returncode == 0 and expected.stdout
    assert shell(f"{predict} 2>&-").stdout == shell(f"{predict} <&-").stdout == expected.stdout
    done = shell(f"{predict} >&-")
    assert done.returncode == 1 and "the answers would be lost; redirect it (standard output)" in done.stderr
    done = shell(f"{predict} -o {tmp_path / 'answers.jsonl'} <&- >&- 2>&-")
    assert done.returncode == 0 and (tmp_path / "answers.jsonl").read_text() == expected.stdout
    done = shell(f"{PYTHON} -m bothways predict {trained} - <&-")
    assert done.returncode == 1 and "standard input is empty" in done.stderr


def test_a_reader_that_has_gone_is_no_error(trained, reviews):
    done = shell(f"set -o pipefail; {PYTHON} -m bothways models | true; echo $?")
    assert done.stdout == "0\n" and done.stderr == ""


PYTHON = sys.executable


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True)
