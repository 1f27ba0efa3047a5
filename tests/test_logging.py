"""``bothways.logging``: what programs call to hear less, or more."""

from __future__ import annotations

import subprocess
import sys

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
