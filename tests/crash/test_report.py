"""The benchmark's table and files, without the kills."""

from __future__ import annotations

import json
from contextlib import nullcontext

from benchmarks import crash


def test_verdicts_are_counted_and_written(tmp_path, monkeypatch):
    found = [
        {"label": "no crash (control)", "verdict": "PASS", "resumed_from_step": None, "newest_complete_step": 0},
        {"label": "#7 open:config.json [torn]", "verdict": "HARD_FAIL", "resumed_from_step": None,
         "newest_complete_step": 4},
    ]  # fmt: skip
    monkeypatch.setattr(crash, "preloaded", lambda place, modules: nullcontext(("python",)))
    monkeypatch.setattr(crash, "crash", lambda case, work, *more: work.mkdir() or found)
    monkeypatch.setattr(crash, "kills", lambda *more: {"kills": 3, "newest_checkpoint": [2, 4, 8], "same": True})
    monkeypatch.setattr(crash, "full_disk", lambda *more: {"outcome": "exit 1, then exit 0", "message": "No room."})
    crash.main(["--cases", "command", "newest", "--out", str(tmp_path / "crash.json"), "--threads", "1"])
    page = (tmp_path / "crash.md").read_text()
    assert "| bothways train | bothways | 2 | 1 | 1 | 0 | – |" in page
    assert "| Trainer, resume_from_checkpoint=True | transformers | 2 | 1 | 1 | 0 | 0 |" in page
    assert "| bothways train, kill -9 at 3 random moments | same weights |" in page
    assert json.loads((tmp_path / "crash.json").read_text())["raw"]["points"]["newest bothways"] == found


def test_names_of_temporary_files_say_no_random_characters():
    assert crash._without_random("#9 open:.config.json.nc5tc_n3.tmp [torn]") == "#9 open:config.json [torn]"
    assert crash._without_random("#1 os.mkdir:out [term]") == "#1 os.mkdir:out [term]"
