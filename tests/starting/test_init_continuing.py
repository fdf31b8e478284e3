"""Another base model is another study, which says so and learns from the first."""

from __future__ import annotations

from pathlib import Path

import pytest
from drafting import Desk
from test_init_scripts import taut

from taut import basemodel, studyfile
from taut.errors import InputError
from taut.starting.continuing import continued

SCRIPT = """
    import argparse
    p = argparse.ArgumentParser()
    p.add_argument("--model_name_or_path")
    p.add_argument("--learning_rate", type=float)
    a = p.parse_args()
    print("eval_loss:", (a.learning_rate - 0.01) ** 2 + len(a.model_name_or_path))
"""
STUDY = r"""
    # A study.   taut run study.toml
    name = "tiny"
    command = "python train.py --model_name_or_path gpt2 {args}"   # gpt2: the small one
    minimize = "eval_loss"
    [results]
    stdout = 'eval_loss: (?P<eval_loss>\S+)'
    [space]
    learning_rate = { loguniform = [1e-3, 1e-1] }
    [budget]
    trials = 3
"""


@pytest.fixture
def tuned(desk: Desk) -> Desk:
    desk.write("train.py", SCRIPT)
    desk.write("study.toml", STUDY)
    taut("run", "study.toml", cwd=desk.place)
    return desk


def test_a_study_keeps_its_base_model(tuned: Desk) -> None:
    file = tuned.place / "study.toml"
    text = file.read_text()
    file.write_text(text.replace("path gpt2 ", "path gpt2-large "))
    said = taut("run", "study.toml", "--trials", "4", cwd=tuned.place, code=2)
    assert "study.toml:3: command: runs/tiny has tuned gpt2, and this is gpt2-large" in said
    assert "taut init --from runs/tiny --model gpt2-large" in said
    assert "3 complete" in taut("status", "runs/tiny", cwd=tuned.place), "nothing was added"
    file.write_text(text.replace("path gpt2 ", "path /models/gpt2 "))
    assert "/models/gpt2" in taut("run", "study.toml", "--trials", "4", cwd=tuned.place, code=2), (
        "it may be any"
    )

    made = taut("init", "--from", "runs/tiny", "--model", "gpt2-large", cwd=tuned.place)
    assert (
        "wrote tiny-gpt2-large.toml: another study, tiny-gpt2-large: as tiny, gpt2-large instead of" in made
    )
    new = tuned.place / "tiny-gpt2-large.toml"
    study = studyfile.read(new)
    assert study.evaluation.model == "gpt2-large" and study.warm_start[0].study == "runs/tiny"
    assert "# A study.   taut run tiny-gpt2-large.toml" in new.read_text()
    out = taut("run", new.name, cwd=tuned.place)
    assert "warm start: runs/tiny (3 complete trials)" in out and "eval_loss=10" in out

    again = taut(
        "init", "--from", "runs/tiny-gpt2-large", "--model", "org/opt", "--out", "o.toml", cwd=tuned.place
    )
    assert "tiny-opt" in again
    assert [each.study for each in studyfile.read(tuned.place / "o.toml").warm_start] == [
        "runs/tiny",
        "runs/tiny-gpt2-large",
    ]
    place = tuned.place / "runs" / "tiny"
    for earlier, model, problem in (
        (place, "gpt2", "is the base model of"),
        (tuned.place / "runs" / "none", None, "there is no study"),
        (tuned.place / "train.py", None, "there is no study"),
    ):
        with pytest.raises(InputError, match=problem):
            continued(earlier, model, None)
    said = taut("init", "--from", "runs/tiny", "--model", "gpt2-large", cwd=tuned.place, code=2)
    assert "tiny-gpt2-large.toml exists; taut does not overwrite it" in said


def test_a_base_model_in_a_configuration(desk: Desk) -> None:
    desk.write("train.py", "print('eval_loss: 1.0')")
    config = desk.write("base.yaml", "# the small one\nbase_model: org/tiny   # of the Hub\nlr: 0.1\n")
    desk.write(
        "study.toml",
        STUDY.replace("--model_name_or_path gpt2 {args}", "{config}")
        .replace("learning_rate", "lr")
        .replace('minimize = "', 'config = "base.yaml"\n    minimize = "'),
    )
    taut("run", "study.toml", "--trials", "1", cwd=desk.place)
    text = config.read_text()
    config.write_text(text.replace("org/tiny", "org/big"))
    said = taut("run", "study.toml", "--trials", "2", cwd=desk.place, code=2)
    assert "config: runs/tiny has tuned org/tiny, and this is org/big" in said
    config.write_text(text)
    taut("init", "--from", "runs/tiny", "--model", "org/big", cwd=desk.place)
    assert (desk.place / "base-big.yaml").read_text() == text.replace("org/tiny", "org/big")
    study = studyfile.read(desk.place / "tiny-big.toml")
    assert (study.evaluation.config, study.evaluation.model) == ("base-big.yaml", "org/big")


@pytest.mark.parametrize(
    ("words", "model"),
    [
        (["trl", "sft", "--model_name_or_path", "org/a", "{args}"], "org/a"),
        (["python", "t.py", "--model-name=a", "--model", "b"], "a"),
        (["x", "base_model=a"], "a"),
        (["python", "t.py", "--model", "{model}"], None),
        (["python", "model.py", "--model", "--lr", "3"], None),
        (["vllm", "serve", "--model-loader", "x"], None),
        (["python", "train.py", "+model.base_model=org/a", "data.model=x"], "org/a"),
        (["python", "train.py", "data.model=x"], None),
        (["python", "train.py", "--teacher.base_model", "org/t", "--model.base_model", "org/a"], "org/a"),
        (["python", "train.py", "a.base_model=org/b", "b.base_model=org/a"], None),
    ],
)
def test_where_a_command_names_its_model(words: list[str], model: str | None) -> None:
    assert basemodel.in_words(words) == model


def test_where_a_space_and_files_name_it(tmp_path: Path) -> None:
    assert basemodel.in_space({"model": {"choice": ["gpt2"]}, "lr": {"uniform": [0, 1]}}) == "gpt2"
    assert basemodel.in_space({"model": {"choice": ["gpt2", "opt"]}}) is None, "then it is searched"
    for name, text in (
        ("a.yaml", "model_name_or_path: 'org/a'  # x\n"),
        ("a.json", '{"base_model": "org/a"}'),
        ("a.toml", 'model = "org/a"\n'),
        ("b.yaml", "data:\n  model: none\nmodel:\n  base_model: org/a\n  base_model_config: x\n"),
        (
            "c.json",
            '{"data": {"model": "none"}, "model": {"args": {"pretrained_model_name_or_path": "org/a"}}}',
        ),
        ("b.toml", '[model]\nmodel_name_or_path = "org/a"\n'),
        ("d.yaml", "ref:\n  base_model: org/b\nbase_model: org/a\n"),
        ("e.yaml", "teacher:\n  base_model: org/t\nmodel:\n  base_model: 'org/a'\n"),
        ("f.yaml", "base_model: null\nprompt: |\n  base_model: x\nmodel:\n  args:\n    base_model: org/a\n"),
        ("g.yaml", "model:\n  base_model: ${oc.env:M}\npolicy:\n  base_model: org/a\n"),
    ):
        (tmp_path / name).write_text(text)
        assert basemodel.in_file(tmp_path / name) == "org/a"
    for name, text in (
        ("h.yaml", "one:\n  base_model: org/a\ntwo:\n  base_model: org/b\n"),
        ("i.json", '{"one": {"base_model": "org/a"}, "two": {"base_model": "org/b"}}'),
        ("j.yaml", "tokenizer:\n  pretrained_model_name_or_path: org/a\n"),
    ):
        (tmp_path / name).write_text(text)
        assert basemodel.in_file(tmp_path / name) is None, name
    (tmp_path / "b.json").write_text("{")
    assert basemodel.in_file(tmp_path / "b.json") is None and basemodel.in_file(tmp_path / "c.yaml") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("org/tiny", "org/tiny", True),
        ("org/tiny", "other/tiny", False),
        ("org/tiny", "/models/org/tiny", True),
        ("/a/org/tiny", "/b/org/tiny/", True),
        ("/a/tiny", "/b/tiny", False),
        ("/a/run/final", "/b/run/final", False),
        ("/a/run/checkpoint-500", "/b/run/checkpoint-500", False),
        ("/a/run/model", "/b/run/model", False),
        ("/a/x/../tiny", "/a/tiny", True),
        ("./tiny", "other/tiny", False),
    ],
)
def test_when_two_names_mean_one_model(one: str, other: str, same: bool) -> None:
    assert basemodel.same(one, other) is same and basemodel.same(other, one) is same


def test_a_moved_model_has_its_configuration(tmp_path: Path) -> None:
    places = [tmp_path / side / "org" / "tiny" for side in "ab"]
    for place in places:
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
    assert basemodel.same(*map(str, places))
    (places[0] / "config.json").write_text('{"hidden_size": 8}')
    assert not basemodel.same(*map(str, places))
    (tmp_path / "link").symlink_to(places[0])
    assert basemodel.same(str(tmp_path / "link"), str(places[0]))
