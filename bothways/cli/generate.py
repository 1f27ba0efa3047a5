"""``bothways generate``: text that a model writes, token by token on the terminal, or for a file of prompts."""

from __future__ import annotations

import json
import sys
from collections import deque
from pathlib import Path
from typing import Annotated, Any

import typer

from bothways.cli.answers import check_file_output, check_long_input, load_pipeline, report_long_inputs, writing


def generate_command(
    model: Annotated[str, typer.Argument(help="A model that writes: a directory or a name.")],
    prompt: Annotated[
        str | None, typer.Argument(help="The text to continue, summarise or translate; - for standard input.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="Many prompts: a file as for predict, one a line in .txt.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; by default standard output.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="text-generation, text2text-generation, summarization, translation or translation_en_to_de."),
    ] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Most tokens to write.  [default: 256]")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Draw tokens, the likelier the lower; 0 takes the likeliest.  [default: 0.7]")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw among so many likeliest tokens; 0 for all.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw among the likeliest tokens of this probability.")] = None,
    beams: Annotated[int | None, typer.Option(help="Search with so many beams in place of drawing.")] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1: fewer repetitions.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="How many texts to write for each prompt.")] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Number that draws follow from; another one each time if none.")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="Stop where the text has this; may be repeated.")] = None,
    source_language: Annotated[str | None, typer.Option("--from", help="Language of the text, for mBART.")] = None,
    target_language: Annotated[str | None, typer.Option("--to", help="Language of the translation.")] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the prompts.")] = None,
    long_input: Annotated[
        str | None,
        typer.Option(help="Texts longer than the model reads: window (summaries, translations), truncate or error."),
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the file, if the name does not tell.")
    ] = None,
) -> None:
    """Let a model write: continue a prompt, summarise or translate it."""
    from bothways.data.opening import check_readable
    from bothways.errors import UsageError

    if prompt is not None and file is not None:
        raise UsageError("a PROMPT and --file were both given; give one of them.")
    if file is None and (text_column or encoding or file_format):
        raise UsageError("--text-column, --encoding and --format are for --file.")
    check_file_output(output, *([] if file is None else [file]))
    if long_input is not None:
        check_long_input(long_input)
    settings = _settings(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        num_beams=beams,
        repetition_penalty=repetition_penalty,
        num_return_sequences=None if count == 1 else count,
        seed=seed,
        stop_strings=stop or None,
    )
    text = None if file is not None else _prompt(prompt)
    if file is not None and file != "-":
        check_readable(Path(file))
    options: dict[str, Any] = {} if long_input is None else {"long_input": long_input}
    languages = {"src_lang": source_language, "tgt_lang": target_language}
    options |= {name: value for name, value in languages.items() if value is not None}
    pipe = load_pipeline(_writing_task(model, task, languages), model, precision, **settings, **options)
    if pipe.generation_config.do_sample and seed is None:
        _draw_seed(pipe)
    if text is not None:
        _write_one(pipe, text, output)
    else:
        reading = {"text_column": text_column, "format": file_format, "encoding": encoding}
        _write_lines(pipe, str(file), reading, output)


def _settings(**given: Any) -> dict[str, Any]:
    """Settings of ``generate`` from the options that were given, checked before anything is loaded."""
    from bothways.errors import InputError, UsageError
    from bothways.generation.configuration import GenerationConfig

    settings = {name: value for name, value in given.items() if value is not None}
    draws = any(name in settings for name in ("temperature", "top_k", "top_p"))
    if settings.get("temperature") == 0:
        if given["top_k"] is not None or given["top_p"] is not None:
            raise UsageError("--temperature 0 takes the likeliest token, and draws none: drop --top-k and --top-p.")
        del settings["temperature"]
        draws, settings["do_sample"] = False, False
    if draws:
        settings["do_sample"] = True
    elif "num_beams" in settings:
        settings["do_sample"] = False
    try:
        GenerationConfig(**{"do_sample": settings.get("num_beams", 1) == 1} | settings)
    except InputError as problem:
        raise UsageError(str(problem)) from None
    return settings


def _prompt(prompt: str | None) -> str:
    """The argument, or standard input."""
    from bothways.data.stream import stdin_bytes
    from bothways.errors import DataError, UsageError

    if prompt is not None and prompt != "-":
        return prompt
    if prompt is None and sys.stdin.isatty():
        raise UsageError("there is nothing to continue: give a PROMPT, - for standard input, or --file.")
    try:
        text = stdin_bytes().read().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DataError(f"standard input is not UTF-8 at byte {problem.start:,}.") from None
    return text.removesuffix("\n").removesuffix("\r")


def _writing_task(model: str, task: str | None, languages: dict[str, str | None]) -> str:
    """The task to load; the model's own if none is given.

    Raises:
        UsageError: a task or a model that writes nothing.
    """
    from bothways.errors import UsageError
    from bothways.models.auto import AutoConfig
    from bothways.pipelines.build import infer_task
    from bothways.pipelines.registry import find_pipeline
    from bothways.pipelines.writing import WritingPipeline, writers_sentence

    name = task or infer_task(model, AutoConfig.from_pretrained(model), {})
    name, cls = find_pipeline(name)
    if not issubclass(cls, WritingPipeline):
        if task is None:
            raise UsageError(
                f"{model} was made for {name} and writes no text: `bothways predict` answers with it. "
                + writers_sentence("causal-lm", "seq2seq-lm")
            )
        raise UsageError(
            f"--task {task} writes no text. Expected text-generation, text2text-generation, summarization or "
            "translation."
        )
    if any(languages.values()) and not name.startswith("translation"):
        raise UsageError(f"--from and --to are for translation, not for {name}: add --task translation.")
    return name


def _draw_seed(pipe: Any) -> None:
    """Another text each time, which can be written again."""
    import secrets

    pipe.generation_config.seed = secrets.randbelow(2**31)
    print(f"seed {pipe.generation_config.seed}", file=sys.stderr)


def _write_one(pipe: Any, text: str, output: Path | None) -> None:
    """One prompt: token by token where one text is written from left to right, else when all are there."""
    from bothways.generation.streamers import TextStreamer
    from bothways.pipelines.summarization import SummarizationPipeline
    from bothways.pipelines.translation import TranslationPipeline

    config = pipe.generation_config
    divides = isinstance(pipe, (SummarizationPipeline, TranslationPipeline))
    streams = output is None and not divides and config.num_beams == 1 and (config.num_return_sequences or 1) == 1
    options: dict[str, Any] = {"return_full_text": False} if pipe.model_task == "causal-lm" else {}
    with writing(output) as out:
        if streams:
            options["streamer"] = TextStreamer(pipe.tokenizer, skip_prompt=True, skip_special_tokens=True)
        records = pipe(text, details=True, **options)
        if not streams:
            out.write("\n---\n".join(map(_text_of, records)) + "\n")
    _report_cut(sum(not record["finished"] for record in records), len(records))
    report_long_inputs(1, int(records[0]["n_windows"] > 1), int(records[0]["truncated"]))


def _write_lines(pipe: Any, file: str, reading: dict[str, Any], output: Path | None) -> None:
    """A JSON object for each prompt of a file, in order, in constant memory."""
    from bothways.cli.predict_tasks import single_texts, written_line
    from bothways.progress import progress_bar

    rows: deque[dict[str, Any]] = deque()

    def prompts() -> Any:
        for names, text in single_texts(file, **reading):
            rows.append(names)
            yield text

    options: dict[str, Any] = {"return_full_text": False} if pipe.model_task == "causal-lm" else {}
    count = windowed = truncated = cut = 0
    watched = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    with writing(output) as out, progress_bar("Writing", None, show=watched) as advance:
        for records in pipe(prompts(), details=True, **options):
            line = rows.popleft() | written_line(records)
            count, cut = count + 1, cut + (not line["finished"])
            windowed, truncated = windowed + (line["n_windows"] > 1), truncated + line["truncated"]
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            advance()
    _report_cut(cut, count)
    report_long_inputs(count, windowed, truncated)


def _text_of(record: dict[str, Any]) -> str:
    return str(next(value for key, value in record.items() if key.endswith("_text")))


def _report_cut(cut: int, count: int) -> None:
    """Say where texts end only because they may not be longer."""
    if cut:
        which = "The text stops" if count == 1 else f"{cut:,} of {count:,} texts stop"
        print(f"{which} at the greatest length. --max-new-tokens allows more.", file=sys.stderr)
