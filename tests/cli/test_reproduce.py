"""``bothways reproduce``: the same run again, and what is said where it is not the same."""

import json
import shutil

import pytest

from bothways.training.reproduce import compare


def test_a_run_is_reproduced_to_the_last_bit(trained, command):
    before = sorted(path.name for path in trained.parent.iterdir())
    code, out, err = command("reproduce", trained)
    assert code == 0, err
    assert "Reproduced to the last bit: the same data, weights and scores." in " ".join(out.split())
    assert out.count("identical") >= 6 and sorted(path.name for path in trained.parent.iterdir()) == before


def test_the_new_run_may_be_kept(trained, command, tmp_path):
    code, _, _ = command("reproduce", trained, "--output", tmp_path / "again")
    assert code == 0
    first, second = (json.loads((d / "bothways.json").read_text("utf-8")) for d in (trained, tmp_path / "again"))
    assert first["model"]["trained_sha256"] == second["model"]["trained_sha256"]


def test_other_scores_and_other_data_are_not_confirmed(trained):
    then = json.loads((trained / "bothways.json").read_text("utf-8"))
    now = json.loads(json.dumps(then))
    now["data"]["train"]["sha256"] = "0" * 64
    score = now["comparison"]["rows"][-1]["scores"][0]["interval"]
    score["estimate"] = score["low"] - 0.01
    failed = [fact.what for fact in compare(then, now) if not fact.holds]
    assert failed == ["training data", f"accuracy of {now['comparison']['rows'][-1]['name']}"]


def test_other_weights_with_like_scores_are_confirmed(trained):
    then = json.loads((trained / "bothways.json").read_text("utf-8"))
    now = json.loads(json.dumps(then))
    now["model"]["trained_sha256"] = "1" * 64
    weights = compare(then, now)[-1]
    assert weights.what == "weights" and weights.holds and not weights.exact


def test_no_run_and_no_data(trained, command, tmp_path):
    code, _, err = command("reproduce", tmp_path)
    assert code == 2 and f"{tmp_path} is no finished run of bothways train: it has no bothways.json." in err
    copy = shutil.copytree(trained, tmp_path / "moved")
    manifest = json.loads((copy / "bothways.json").read_text("utf-8"))
    manifest["data"]["files"] = ["lost.csv"]
    (copy / "bothways.json").write_text(json.dumps(manifest), encoding="utf-8")
    code, _, err = command("reproduce", copy)
    assert code == 2 and f"the data of {copy} is not here: lost.csv. Run this where the command was given: " in err


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_record(tmp_path, command, content):
    (tmp_path / "bothways.json").write_text(content, encoding="utf-8")
    code, _, err = command("reproduce", tmp_path)
    assert code == 1 and "bothways.json" in err
