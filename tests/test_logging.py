"""``bothways.logging``: what programs call to hear less, or more."""

from __future__ import annotations

import logging as std
import subprocess
import sys
import warnings

import pytest

import bothways
from bothways import logging


@pytest.fixture(autouse=True)
def as_it_was():
    before = logging.get_logger().level
    yield
    logging.disable_default_handler()
    logging.enable_propagation()
    logging.set_verbosity(before)


@pytest.mark.parametrize(
    ("name", "level", "shown"), [("error", 40, 0), ("warning", 30, 1), ("info", 20, 2), ("debug", 10, 3)]
)
def test_levels(name, level, shown, caplog):
    getattr(bothways.logging, f"set_verbosity_{name}")()
    assert logging.get_verbosity() == level == getattr(logging, name.upper())
    for say in ("warning", "info", "debug"):
        getattr(logging.get_logger("bothways.part"), say)("news")
    assert len(caplog.records) == shown


def test_handlers(capsys):
    logging.disable_propagation()
    logging.enable_default_handler()
    logging.enable_default_handler()
    logging.get_logger().warning("plain")
    logging.enable_explicit_format()
    logging.get_logger().warning("placed")
    logging.reset_format()
    logging.disable_default_handler()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "plain" and len(lines) == 2
    assert lines[1].startswith("[WARNING|test_logging.py:") and lines[1].endswith(">> placed")


def test_the_names_of_the_reference_without_torch():
    program = (
        "import sys, bothways\n"
        "bothways.logging.set_verbosity_error()\n"
        "from bothways import logging\n"
        "assert logging is bothways.logging and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_progress_bars_can_be_switched_off(monkeypatch, capsys):
    from bothways.progress import progress_bar

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        assert not logging.is_progress_bar_enabled()
        with progress_bar("Reading", 2) as advance:
            advance()
        assert capsys.readouterr().err == ""
    finally:
        logging.enable_progress_bar()
    with progress_bar("Reading", 2) as advance:
        advance(2)
    assert "Reading" in capsys.readouterr().err


def test_warnings_of_python_go_through_the_handlers():
    records = []

    class Keeps(std.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    keeps = Keeps()
    logging.add_handler(keeps)
    try:
        logging.captureWarnings(True)
        warnings.warn("old", stacklevel=1)
        logging.captureWarnings(False)
    finally:
        logging.remove_handler(keeps)
    assert len(records) == 1 and "old" in records[0]
    assert logging.log_levels["info"] == std.INFO
