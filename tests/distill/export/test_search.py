"""The precision search: inside its budget, decided by its tables alone, and told in full."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import onnx
import pytest
import tiny

from distill.data.sources import ScoredPairs
from distill.errors import DistillError, UserError
from distill.export import search as room
from distill.export.assemble import assemble, candidates, preset_choices
from distill.export.costs import BYTES, group_costs, total
from distill.export.groups import find_groups
from distill.export.judges import encoder_judge, head_judge
from distill.export.quantize import quantize, quantized_nodes
from distill.export.search import Budget, Judge, check_budget, last_inside, search, turns
from distill.export.search_log import SEARCH, budget_gate, with_search
from distill.export.smooth import text_feeds
from distill.files import write_json

TEXTS = tiny.SENTENCES[:24]


def run(found, tmp_path, budget, **options):
    judge = encoder_judge(found.folder, TEXTS, options.pop("sets", None))
    feeds = text_feeds(found.folder, TEXTS)
    target = tmp_path / "searched.onnx"
    log = search(found.onnx(), target, budget, judge, feeds, timed=False)
    json.dumps(log, allow_nan=False)
    return log, target, judge


def chosen(log):
    return Counter(group["chosen"] for group in log["groups"])


def nearness(found, target, judge):
    outputs = [judge.outputs(room._session(onnx.load(path)), None) for path in (target, found.onnx())]
    return judge.nearness(*outputs)


@pytest.mark.parametrize("least", [0.9999, 0.999])
def test_the_budget_is_kept(exported, tmp_path, least):
    found = exported("bert")
    log, target, judge = run(found, tmp_path, Budget(min_cosine=least))
    assert nearness(found, target, judge) >= least
    assert log["after"] == pytest.approx(nearness(found, target, judge))
    assert log["milliseconds"]["searched"] <= log["milliseconds"]["fp32"]
    assert log["words"] == f"mean cosine to the fp32 file of at least {least:g} on dev text"


def test_no_budget_is_fp32_and_a_loose_one_is_8_bits(exported, tmp_path):
    found = exported("bert")
    strict, target, judge = run(found, tmp_path, Budget(min_cosine=1.0))
    assert nearness(found, target, judge) == pytest.approx(1, abs=1e-6)
    assert strict["milliseconds"]["searched"] > 0.9 * strict["milliseconds"]["fp32"]
    loose, target, _ = run(found, tmp_path, Budget(min_cosine=0.5))
    assert "fp32" not in chosen(loose)
    kinds = candidates(onnx.load(found.onnx()))
    assert quantized_nodes(onnx.load(target)) == Counter(kinds.values())
    assert sum(group["nodes"] for group in loose["groups"]) == len(kinds)
    assert loose["judged"][0]["turned"] == len(loose["groups"])  # the far end is tried first


def test_a_metric_is_what_may_be_lost(exported, tmp_path):
    found = exported("bert")
    rows = tiny.sts_rows()
    sets = {"sts": ScoredPairs([a for a, _, _ in rows], [b for _, b, _ in rows], np.array([c for *_, c in rows]))}
    log, _, _ = run(found, tmp_path, Budget(metric_drop=0.01), sets=sets)
    assert log["metric"] == "sts_spearman"
    assert log["rows"] == len(rows)
    assert log["lost"] <= 0.01
    assert log["after"] >= 0.99 * log["before"]
    assert log["words"] == "at most 1.000% of the fp32 file's dev metric lost"


@pytest.mark.parametrize(("family", "task"), [("bert", "tokens"), ("bert", "spans"), ("bilstm", "classification")])
def test_task_models_too(headed, tmp_path, family, task):
    found = headed(family, task)
    rows = [{"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)} for ids in
            found.tokenizer(TEXTS, truncation=True)["input_ids"]]  # fmt: skip
    feeds = [{name: np.array([values]) for name, values in row.items()} for row in rows]
    judge = head_judge(found.tokenizer, rows, task)
    log = search(found.onnx(), tmp_path / "s.onnx", Budget(min_cosine=0.99), judge, feeds, timed=False)
    assert log["after"] >= 0.99
    assert len(chosen(log)) >= 1
    if family == "bilstm":
        assert "LSTM" in {group["kind"] for group in log["groups"]}


def test_the_same_table_gives_the_same_file(exported, tmp_path):
    found = exported("bert")
    logs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        logs.append(run(found, tmp_path / name, Budget(min_cosine=0.9995))[0])
    assert logs[0]["sha256"] == logs[1]["sha256"]
    assert {k: v for k, v in logs[0].items() if k != "seconds"} == {k: v for k, v in logs[1].items() if k != "seconds"}


def test_what_saves_most_per_harm_turns_first():
    groups = [room.Group(name, "MatMul", (name,), ((4, 4),)) for name in ("cheap", "dear")]
    costs = {name: {"fp32": (4.0, 0), "blocks": (3.0, 0), "token": (2.0, 0), "static": (2.5, 0)} for name in ("cheap", "dear")}
    harm = {
        "cheap": {"fp32": 0.0, "blocks": 0.001, "token": 0.001, "static": 0.1},
        "dear": {"fp32": 0.0, "blocks": 0.001, "token": 0.5, "static": 0.4},
    }
    path = turns(groups, costs, harm)
    assert path[0] == {"cheap": "fp32", "dear": "fp32"}
    assert path[1] == {"cheap": "token", "dear": "fp32"}
    assert path[2] == {"cheap": "token", "dear": "blocks"}
    assert path[-1] == {"cheap": "token", "dear": "token"}
    spent = [total(costs, state) for state in path]
    assert spent == sorted(spent, reverse=True)


@pytest.mark.parametrize("limit", range(9))
def test_bisection_finds_the_last_point_inside(limit):
    path = [{"g": str(number)} for number in range(9)]
    asked = []

    def inside(state):
        asked.append(int(state["g"]))
        return asked[-1] <= limit

    assert last_inside(path, inside) == limit
    assert len(asked) <= 5
    assert last_inside(path[:1], lambda state: True) == 0


def test_groups_hold_every_node_once(exported):
    for family in ("bert", "albert", "deberta-v2"):
        model = onnx.load(exported(family).onnx())
        groups = find_groups(model)
        nodes = [node for group in groups for node in group.nodes]
        assert Counter(nodes) == Counter(dict.fromkeys(candidates(model), 1))
        assert len({group.name for group in groups}) == len(groups)
    model = onnx.load(exported("bert").onnx())
    names = [group.name for group in find_groups(model)]
    assert names[0] == "embeddings"
    assert sum(name.endswith(" + 2") for name in names) == 2  # query, key and value of two layers
    head = next(group for group in find_groups(model) if not group.per_token)
    assert head.forms == ("fp32", "blocks")


def test_shared_matrices_stay_shared(exported):
    """ALBERT: a matrix in two forms would be in the file twice."""
    model = onnx.load(exported("albert").onnx())
    forms = {}
    for group in find_groups(model):
        for node in model.graph.node:
            if node.name in group.nodes and node.op_type == "MatMul":
                assert forms.setdefault(node.input[1], group.name) == group.name


def test_counted_costs_are_equal_everywhere_and_timed_ones_are_positive(exported):
    groups = find_groups(onnx.load(exported("bert").onnx()))
    counted, how = group_costs(groups, timed=False)
    assert how == "counted"
    assert counted == group_costs(groups, timed=False)[0]
    for group in groups:
        assert list(counted[group.name]) == list(group.forms)
        assert counted[group.name]["fp32"][1] == pytest.approx(group.weights * BYTES["fp32"] / 1e6)
    timed, how = group_costs(groups)
    assert how in ("timed", "counted")
    assert all(ms >= 0 for forms in timed.values() for ms, _ in forms.values())


def test_timings_of_no_use_are_counted_and_told(exported, monkeypatch):
    import distill.export.costs as costs

    monkeypatch.setattr(costs, "_timed", lambda group: None)
    groups = find_groups(onnx.load(exported("bert").onnx()))
    assert group_costs(groups) == (group_costs(groups, timed=False)[0], "counted")


def test_a_preset_that_is_quicker_and_inside_is_taken(exported, tmp_path, monkeypatch):
    found = exported("bert")
    monkeypatch.setattr(room, "last_inside", lambda path, inside: 0)
    log, _, _ = run(found, tmp_path, Budget(min_cosine=0.9))
    assert log["taken"] in ("fast", "faithful")
    assert "fp32" not in chosen(log)


def test_presets_are_mixes_as_well(exported, tmp_path):
    found = exported("bert")
    for preset in ("fast", "faithful"):
        model = onnx.load(found.onnx())
        plain = assemble(model, preset_choices(model, preset))
        quantize(found.onnx(), tmp_path / "q.onnx", preset)
        assert quantized_nodes(plain) == quantized_nodes(onnx.load(tmp_path / "q.onnx"))


@pytest.mark.parametrize(
    "budget",
    [
        Budget(),
        Budget(0.1, 0.9),
        Budget(metric_drop=-0.1),
        Budget(metric_drop=1.0),
        Budget(min_cosine=1.5),
        Budget(min_cosine=0.0),
    ],
)
def test_a_budget_that_is_none_is_refused(budget):
    with pytest.raises(UserError, match="no such budget"):
        check_budget(budget, range(9))
    with pytest.raises(UserError, match="rows to judge by"):
        check_budget(Budget(min_cosine=0.9), ["one"])


def test_outputs_that_are_no_numbers_are_far_away(exported):
    judge = encoder_judge(exported("bert").folder, TEXTS)
    assert isinstance(judge, Judge)
    assert judge.nearness(np.full((2, 3), np.nan), np.ones((2, 3))) == 0


def test_the_gate_is_the_budget(tmp_path):
    (tmp_path / "onnx").mkdir()
    file = tmp_path / "onnx" / "model_searched.onnx"
    file.write_bytes(b"graph")
    from distill.files import sha256_file

    log = {
        "budget": {"min_cosine": 0.99},
        "gate": "mean_cosine >= 0.99",
        "after": 0.995,
        "lost": 0.005,
        "sha256": sha256_file(file),
    }
    write_json(tmp_path / "onnx" / SEARCH, log)
    proof = {"mean_cosine": 0.995, "max_abs": 0.1}
    assert budget_gate(tmp_path, "fast", proof) == {}
    assert budget_gate(tmp_path, "searched", proof)["passed"]
    assert not budget_gate(tmp_path, "searched", {**proof, "mean_cosine": 0.98})["passed"]
    assert not budget_gate(tmp_path, "searched", {"mean_cosine": None, "max_abs": None})["passed"]
    assert with_search({"models": {"searched": {}}}, tmp_path)["search"] == log
    assert with_search({"models": {"fast": {}}}, tmp_path) == {"models": {"fast": {}}}
    write_json(tmp_path / "onnx" / SEARCH, {**log, "budget": {"metric_drop": 0.004}, "gate": "metric_drop <= 0.004"})
    assert budget_gate(tmp_path, "searched", proof) == {"gate": "metric_drop <= 0.004", "passed": False, "metric_drop": 0.005}
    file.write_bytes(b"another")
    with pytest.raises(DistillError, match="another file"):
        budget_gate(tmp_path, "searched", proof)
