"""Every command and every Python example in README.md and docs/ is run, in a directory with the files that it names.

The first two commands of the README install the library: ``.ci/run`` runs them, and here it is checked that it would
run exactly these. Runs are on small files, so that the examples stay cheap; the model is the real default model.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ALL_PAGES = [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]
INSTALLING = 2  # the first blocks of the README
SHOWN_ONLY = {"text", "csv", "json", "toml"}
SHELL_SIGNS = set("|&;<>$`=*'\"\\(")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}, line {self.line}"


def blocks_of(page: Path) -> list[Block]:
    found = []
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```(\w*)[ \t]*\n(.*?)^```[ \t]*$", text, re.DOTALL | re.MULTILINE):
        found.append(Block(page, text.count("\n", 0, match.start()) + 2, match[1], match[2]))
    return found


def installing_blocks() -> list[Block]:
    return [block for block in blocks_of(ROOT / "README.md") if block.language == "sh"][:INSTALLING]


def examples_of(page: Path) -> list[Block]:
    """The blocks that are run here."""
    return [b for b in blocks_of(page) if b.language not in SHOWN_ONLY and b not in installing_blocks()]


@pytest.fixture
def place(tmp_path, tmp_path_factory, monkeypatch, default_model):
    """A working directory with everything that the pages name, no network, and a store with the default model."""
    home = tmp_path_factory.mktemp("home")
    (home / "models").mkdir()
    (home / "models" / "minilm-l6").symlink_to(default_model, target_is_directory=True)
    monkeypatch.setenv("BOTHWAYS_HOME", str(home))
    monkeypatch.setenv("BOTHWAYS_OFFLINE", "1")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def default_model():
    from bothways.errors import ModelNotFoundError
    from bothways.resolver import resolve_model

    try:
        return resolve_model("minilm-l6", local_files_only=True).resolve()
    except ModelNotFoundError:
        pytest.skip("minilm-l6 is not on this machine: bothways models --download minilm-l6")


def write_data(place: Path) -> None:
    """The files that the pages name, made from the first messages of the demo."""
    with (ROOT / "bothways" / "demo" / "messages.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    few, more = rows[:48], rows[48:72]
    write_csv(place / "messages.csv", ("text", "label"), few)
    write_csv(place / "more-messages.csv", ("text", "label"), more)
    write_csv(place / "held-messages.csv", ("text", "label"), rows[72:172])
    numbered = [(i, text, label, "en") for i, (text, label) in enumerate(few)]
    write_csv(place / "tickets.csv", ("id", "body", "team", "language"), numbered)
    pairs = [(a, b, "yes" if i % 2 else "no") for i, ((a, _), (b, _)) in enumerate(zip(few, few[1:], strict=False))]
    write_csv(place / "pairs.csv", ("question", "answer", "label"), pairs)
    write_csv(place / "ratings.csv", ("text", "rating"), [(text, len(text) / 100) for text, _ in few])
    tags = [{"text": text, "label": [label, "long"] if len(text) > 100 else [label]} for text, label in few]
    (place / "tags.jsonl").write_text("\n".join(map(json.dumps, tags)) + "\n", encoding="utf-8")
    write_task_data(place)
    (place / "texts.txt").write_text("\n".join(text for text, _ in more[:5]) + "\n", encoding="utf-8")


def write_task_data(place: Path) -> None:
    """Small files for the page on tasks."""
    people, towns = ["Ada Lovelace", "Grace", "Alan Turing", "Mary Anning"], ["Turin", "Bath", "Porto", "Ulm", "Cork"]
    spans, lines, questions, choices, pairs = [], [], [], [], []
    for i in range(20):
        person, town = people[i % 4], towns[i % 5]
        text = f"{person} visited {town}."
        start = text.rindex(town)
        spans.append({"text": text, "entities": [[0, len(person), "PER"], [start, start + len(town), "LOC"]]})
        tags = ["B-PER", *["I-PER"] * person.count(" "), "O", "B-LOC", "O"]
        lines.append("\n".join(map(" ".join, zip([*person.split(), "visited", town, "."], tags, strict=True))))
        answers = {"text": [town], "answer_start": [start]} if i % 4 else {"text": [], "answer_start": []}
        questions.append({"question": "Where did she go?", "context": f"{text} It was day {i}.", "answers": answers})
        right, wrong = f"in {town}", f"in {towns[(i + 1) % 5]}"
        endings = [right, wrong] if i % 2 else [wrong, right]
        choices.append({"question": f"{text} Where? ", "choices": endings, "label": 1 - i % 2})
        pairs.append((text, f"It rained in {towns[(i + i % 2) % 5]}.", "NotNext" if i % 2 else "IsNext"))
    (place / "entities.conll").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    for name, rows in (("spans", spans), ("questions", questions), ("choices", choices)):
        (place / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    write_csv(place / "follows.csv", ("first", "second", "label"), pairs)
    with (ROOT / "bothways" / "demo" / "messages.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    for name, own in (("corpus", texts[:200]), ("contracts", texts[200:320])):
        documents = (" ".join(own[i : i + 4]) for i in range(0, len(own), 4))
        (place / f"{name}.txt").write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    (place / "gaps.txt").write_text("The library is [MASK] today.\n[MASK] me a [MASK].\n", encoding="utf-8")


def write_csv(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_models(place: Path, page: Path, default_model: Path) -> None:
    """``my-bert`` with a masked-language head, ``my-nli``, and ``model`` where no page trains it; random and tiny."""
    import bothways

    tokenizer = bothways.AutoTokenizer.from_pretrained(default_model)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    text = page.read_text(encoding="utf-8")
    inference = bothways.BertConfig(
        vocab_size=len(tokenizer), id2label=dict(enumerate(["contradiction", "neutral", "entailment"])), **sizes
    )
    bothways.BertForSequenceClassification(inference).save_pretrained(place / "my-nli")
    tokenizer.save_pretrained(place / "my-nli")
    for name, cls in (("my-bert", bothways.BertForMaskedLM), ("model", bothways.BertForSequenceClassification)):
        if f"--output {name}\n" not in text:
            cls(bothways.BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(place / name)
            tokenizer.save_pretrained(place / name)
    if "my-gpt2" in text:
        write_writers(place)


def write_writers(place: Path) -> None:
    """``my-gpt2`` and ``my-t5``, tiny and random, with vocabularies learned from the demo."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    import bothways

    texts = [row["text"] for row in csv.DictReader((place / "messages.csv").open(encoding="utf-8", newline=""))]
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    options = {"vocab_size": 400, "show_progress": False}
    pieces.train_from_iterator(
        texts, trainers.BpeTrainer(special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, **options)
    )
    gpt2 = bothways.GPT2TokenizerFast(tokenizer_object=pieces, model_max_length=256)
    words = Tokenizer(models.Unigram())
    words.pre_tokenizer, words.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    words.train_from_iterator(
        texts, trainers.UnigramTrainer(special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", **options)
    )
    t5 = bothways.T5TokenizerFast(tokenizer_object=words, extra_ids=0, model_max_length=64)
    end = gpt2.convert_tokens_to_ids("<|endoftext|>")
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 256, "bos_token_id": end, "eos_token_id": end}
    model = bothways.GPT2LMHeadModel(bothways.GPT2Config(vocab_size=len(gpt2), **sizes))
    model.save_pretrained(place / "my-gpt2")
    gpt2.save_pretrained(place / "my-gpt2")
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    bothways.T5ForConditionalGeneration(bothways.T5Config(vocab_size=len(t5), **sizes)).save_pretrained(place / "my-t5")
    t5.save_pretrained(place / "my-t5")
    pairs = [{"text": f"{text} It was said on day {i}.", "summary": text} for i, text in enumerate(texts)]
    (place / "summaries.jsonl").write_text("\n".join(map(json.dumps, pairs)) + "\n", encoding="utf-8")
    for name, lines in (("captions.en", texts), ("captions.de", [text.upper() for text in texts])):
        (place / name).write_text("\n".join(" ".join(line.split()) for line in lines) + "\n", encoding="utf-8")
    (place / "stories.txt").write_text(
        "\n\n".join(" ".join(texts[i : i + 4]) for i in range(0, 48, 4)), encoding="utf-8"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page, place, default_model, capfd):
    write_models(place, page, default_model)
    names: dict = {"__name__": "__main__"}
    for block in examples_of(page):
        if block.language == "python":
            exec(compile(block.code, str(block), "exec"), names)
        else:
            for command in commands_of(block.code):
                code, problem = run_command(command, capfd)
                assert code == 0, f"{block}: {command}\nexit code {code}: {problem}"
    leftovers = [path.name for path in place.iterdir() if path.name.startswith(".")]
    assert leftovers == []


def commands_of(code: str) -> list[str]:
    joined = code.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def run_command(command: str, capfd) -> tuple[int, str]:
    """Exit code and standard error. A plain call of the command line is made in this process, where torch is loaded."""
    words = shlex.split(command)
    if words[0] == "bothways" and not SHELL_SIGNS & set(command):
        from bothways.cli import run

        capfd.readouterr()
        code = run(words[1:])
        return code, capfd.readouterr().err
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stderr


def test_the_two_commands_are_those_that_ci_runs():
    shown = subprocess.run(["bash", str(ROOT / ".ci" / "run"), "--show"], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == "".join(block.code for block in installing_blocks())


def test_the_two_commands_are_one_line_each_and_stand_alone():
    main_job, tests = [block.code.strip() for block in installing_blocks()]
    for command in (main_job, tests):
        assert "\n" not in command
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt ")
    assert main_job.endswith("&& .venv/bin/bothways demo")
    assert tests.endswith("&& .venv/bin/python -m pytest")


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_no_command_hides_in_a_block_that_is_not_run(page):
    for block in blocks_of(page):
        if page in PAGES:
            assert block.language in {"sh", "python", *SHOWN_ONLY}, f"{block}: unknown language {block.language!r}"
        if block.language not in ("sh", "python"):
            commands = [line for line in block.code.splitlines() if re.match(r"[$>] |bothways |pip |python", line)]
            assert not commands, f"{block}: {commands[0]!r} would not be run; mark the block sh"


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_options_named_in_the_text_exist():
    """Inline code such as ``bothways train --minutes`` or ``--kind multi`` names real verbs and options."""
    known = known_options()
    every = set().union(*known.values())
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for code in re.findall(r"`([^`\n]+)`", prose):
            words = code.split()
            verb = words[1] if words[0] == "bothways" and len(words) > 1 else None
            assert verb is None or verb in known, f"{page.name}: `{code}` has no such verb"
            options = {word for word in words if word.startswith("--")} if verb or code.startswith("--") else set()
            assert options <= (known[verb] if verb else every), f"{page.name}: `{code}` has no such option"


def known_options() -> dict[str, set[str]]:
    import typer.main

    from bothways.cli import application

    verbs = typer.main.get_command(application()).commands  # type: ignore[attr-defined]
    return {name: options_of(verb) | {"--help"} for name, verb in verbs.items()}


def options_of(verb) -> set[str]:
    """Of a verb, or of all verbs of a group."""
    inner = getattr(verb, "commands", {}).values()
    return {o for p in verb.params for o in (*p.opts, *p.secondary_opts)}.union(*map(options_of, inner))


def test_the_defaults_in_the_guides_are_those_of_the_code():
    from bothways.data.opening import FORMATS
    from bothways.training.holdout import HOLDOUT, MOST_HELD_OUT
    from bothways.training.settings import FitSettings
    from bothways.training.text_task import FEW_TEXTS, MANY_TEXTS, defaults_for

    guide = " ".join((ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8").split())
    rate = f"{FitSettings.learning_rate:g}".replace("e-0", "e-")
    assert f"batches of {FitSettings.batch_size}, highest" in guide
    assert f"4 epochs for fewer than {FEW_TEXTS:,} texts a label, 3 for up to {MANY_TEXTS:,} texts, else 2" in guide
    chosen = [defaults_for(n, 1).epochs for n in (FEW_TEXTS - 1, FEW_TEXTS, MANY_TEXTS, MANY_TEXTS + 1)]
    assert chosen == [4, 3, 3, 2]
    assert f"highest learning rate {rate} after a warm-up over a tenth" in guide and FitSettings.warmup_ratio == 0.1
    assert f"({FitSettings.head_factor:g} times that for the new head" in guide
    assert f"A fifth of the texts, at most {MOST_HELD_OUT:,}, is held out" in guide and HOLDOUT == 0.2
    formats = (ROOT / "docs" / "data-formats.md").read_text(encoding="utf-8")
    assert [extension for extension in FORMATS if f"`{extension}`" not in formats] == []


def test_every_dependency_has_a_tested_version():
    tomllib = pytest.importorskip("tomllib")
    requirements = pytest.importorskip("packaging.requirements")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [requirements.Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    version = {pin.name: next(iter(pin.specifier)).version for pin in pins}
    assert len(version) == len(pins), "a package is pinned twice"
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in map(requirements.Requirement, wanted):
        if requirement.name != project["name"]:
            assert requirement.specifier.contains(version[requirement.name]), requirement
