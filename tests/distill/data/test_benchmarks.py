"""Files of known benchmarks by format alone: what they hold, round trips, and what each kind of bad row gets."""

import csv
import gzip
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.data.benchmarks import FORMATS, NLI_LABELS, NSMC_LABELS, BenchmarkTable
from distill.data.benchmarks_write import write_benchmark
from distill.data.labelled import read_text_examples
from distill.data.sources import check_source, open_table, read_pairs, read_sentences
from distill.errors import DataError
from distill.recipe import EvaluationSpec, SourceSpec
from distill.recipe_data import NAMED_FORMATS

KORSTS_HEAD = "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n"
LAYOUTS = [(kind, number) for kind, form in FORMATS.items() for number in range(len(form.layouts))]


def write(path, text):
    data = text.encode("utf-8")
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def rows(path, kind):
    table = open_table(SourceSpec(source=str(path), format=kind))
    return list(table.read(range(len(table.names))))


def values(path, kind):
    found = [row for _, row in rows(path, kind)]
    assert not any(isinstance(row, DataError) for row in found), found
    return found


def problem(path, kind):
    (found,) = [(number, row) for number, row in rows(path, kind) if isinstance(row, DataError)]
    return found


def test_every_format_of_the_recipe_is_read():
    assert set(FORMATS) == set(NAMED_FORMATS)


# The files below are written by hand, as the projects' own pages show them.


def test_korsts_is_tab_separated_without_quoting(tmp_path):
    lines = 'main\tMSRvid\t2012\t0001\t5.000\t"비행기가 뜬다.\t비행기가 "이륙한다".\nm\tM\t2\t2\t1.25\tㄱ\tㄴ\n'
    path = write(tmp_path / "a.tsv", KORSTS_HEAD + lines)
    assert values(path, "korsts") == [('"비행기가 뜬다.', '비행기가 "이륙한다".', 1.0), ("ㄱ", "ㄴ", 0.25)]


def test_klue_sts_takes_the_mean_of_its_raters(tmp_path):
    record = {
        "guid": "klue-sts-v1_train_00000",
        "source": "airbnb-rtt",
        "sentence1": "숙소 위치는 찾기 쉽다.",
        "sentence2": "숙소 위치는 쉽게 찾을 수 있다.",
        "labels": {"label": 3.7, "real-label": 3.75, "binary-label": 1},
        "annotations": {"agreement": "0:0:0:2:5:0"},
    }
    bare = {**record, "labels": {"label": 2.5}}
    path = write(tmp_path / "a.json", json.dumps([record, bare], ensure_ascii=False))
    assert [row[2] for row in values(path, "klue-sts")] == [0.75, 0.5]


def test_klue_nli_as_published_and_trimmed(tmp_path):
    record = {"guid": "0", "source": "wikinews", "premise": "A", "hypothesis": "B", "gold_label": "neutral", "label2": "neutral"}
    published = write(tmp_path / "a.json", json.dumps([record]))
    trimmed = write(tmp_path / "a.tsv", "guid\tsource\tpremise\thypothesis\tgold_label\n0\twikinews\tA\tB\tneutral\n")
    assert values(published, "klue-nli") == values(trimmed, "klue-nli") == [("A", "B", "neutral")]


def test_kornli_and_nsmc_have_labels_by_name(tmp_path):
    nli = write(tmp_path / "a.tsv", "sentence1\tsentence2\tgold_label\nA\tB\tcontradiction\n")
    reviews = write(tmp_path / "a.txt.gz", 'id\tdocument\tlabel\n1\t"재밌다\t1\n2\t별로\t0\n')
    assert values(nli, "kornli") == [("A", "B", "contradiction")]
    assert values(reviews, "nsmc") == [('"재밌다', "positive"), ("별로", "negative")]


def test_stsb_in_its_four_forms(tmp_path):
    plain = write(tmp_path / "a.csv", '"A plane, taking off.",B,5.0\nC,D,1.25\n')
    named = write(tmp_path / "b.csv", 'sentence1,sentence2,score\n"A plane, taking off.",B,5.0\nC,D,1.25\n')
    original = write(
        tmp_path / "c.csv", "main\tMSRvid\t2012\t1\t5.000\tA plane, taking off.\tB\nm\tf\t2\t2\t1.25\tC\tD\tlicence\tlicence\n"
    )
    head = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    glue = write(
        tmp_path / "d.tsv", head + "0\tm\tf\t2\t1\tnone\tnone\tA plane, taking off.\tB\t5.000\n1\tm\tf\t2\t1\tn\tn\tC\tD\t1.25\n"
    )
    wanted = [("A plane, taking off.", "B", 1.0), ("C", "D", 0.25)]
    assert all(values(path, "stsb") == wanted for path in (plain, named, original, glue))


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n\x00\ufeff"), min_size=1, max_size=30).filter(
    lambda text: text.strip()
)


@pytest.mark.parametrize(("kind", "layout"), LAYOUTS)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_what_is_written_is_read_again(kind, layout, ending, tmp_path):
    names = FORMATS[kind].names
    last = {"score": st.floats(0, 1), "label": st.sampled_from(NSMC_LABELS if kind == "nsmc" else NLI_LABELS)}[names[-1]]
    path = tmp_path / f"file{ending}"

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(*[TEXT] * (len(names) - 1), last), min_size=1, max_size=5))
    def round_trip(table):
        write_benchmark(path, kind, table, layout)
        found = values(path, kind)
        assert [row[:-1] for row in found] == [row[:-1] for row in table]
        if names[-1] == "score":
            np.testing.assert_allclose([row[-1] for row in found], [row[-1] for row in table], rtol=1e-12, atol=1e-300)
        else:
            assert [row[-1] for row in found] == [row[-1] for row in table]

    round_trip()


@pytest.mark.parametrize("layout", [0, 1, 3])
def test_a_text_that_begins_as_json_does_is_text(layout, tmp_path):
    rows = [("[Laughs] A man eats.", "{B}", 0.5)]
    write_benchmark(tmp_path / "a.csv", "stsb", rows, layout)
    assert values(tmp_path / "a.csv", "stsb") == rows


def test_a_byte_order_mark_where_it_would_be_lost_is_not_written(tmp_path):
    write_benchmark(tmp_path / "a.csv", "stsb", [("\ufeffA", "B", 0.5)], layout=0)
    assert values(tmp_path / "a.csv", "stsb")[0][0] == "\ufeffA"
    with pytest.raises(DataError, match="cannot be written"):
        write_benchmark(tmp_path / "a.csv", "stsb", [("\ufeffA", "B", 0.5)], layout=1)


def test_a_text_with_a_tab_is_not_written(tmp_path):
    with pytest.raises(DataError, match="without tabs") as caught:
        write_benchmark(tmp_path / "a.tsv", "kornli", [("a\tb", "c", "neutral")])
    assert caught.value.where.endswith("a.tsv, row 2")
    assert not (tmp_path / "a.tsv").exists()


@pytest.mark.parametrize("score", ["5.1", "-0.5", "nan", "high", "", "inf"])
def test_a_score_out_of_range_is_named(score, tmp_path):
    path = write(tmp_path / "a.tsv", KORSTS_HEAD + f"m\tf\t2\t1\t3\tA\tB\nm\tf\t2\t1\t{score}\tC\tD\n")
    row, error = problem(path, "korsts")
    assert row == 3
    assert error.where == f"{path}, row 3"
    assert error.expected == "a score from 0 to 5"


@pytest.mark.parametrize(("kind", "label"), [("kornli", "-"), ("kornli", "Entail"), ("kornli", "0"), ("nsmc", "2"), ("nsmc", "")])
def test_an_unknown_label_is_named(kind, label, tmp_path):
    head = {"kornli": "sentence1\tsentence2\tgold_label\nA\tB\t", "nsmc": "id\tdocument\tlabel\n1\tA\t"}[kind]
    row, error = problem(write(tmp_path / "a.tsv", f"{head}{label}\n"), kind)
    assert row == 2
    assert "label" in error.expected


@pytest.mark.parametrize("line", ["m\tf\t2\t1\t3\tA", "m\tf\t2\t1\t3\tA\tB\tC"])
def test_a_wrong_number_of_columns_stops_or_is_counted(line, tmp_path):
    path = write(tmp_path / "a.tsv", KORSTS_HEAD + f"m\tf\t2\t1\t3\tA\tB\n{line}\nm\tf\t2\t1\t1\tC\tD\n")
    spec = EvaluationSpec(source=str(path), format="korsts")
    with pytest.raises(DataError, match="number of columns") as caught:
        read_pairs(spec, on_bad_row="error", counts=Counter())
    assert caught.value.where.endswith("row 3")
    counts = Counter()
    assert read_pairs(spec, on_bad_row="skip", counts=counts).scores.tolist() == [0.6, 0.2]
    assert counts["bad_rows"] == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sentence1\tsentence2\tgold_label\nA\tB\tneutral\n", "korsts"),
        ('[{"premise": "A"}]', "kornli"),
        ("guid\tsentence1\tsentence2\n", "klue-sts"),
        ("premise,hypothesis,gold_label\n", "klue-nli"),
    ],
)
def test_another_file_is_refused_with_what_was_expected(text, kind, tmp_path):
    (error,) = check_source(SourceSpec(source=str(write(tmp_path / "a.tsv", text)), format=kind))
    assert f"no file of the format {kind}" in error.message
    assert FORMATS[kind].layouts[0].columns[0] in error.expected


@pytest.mark.parametrize("text", ["[1]", '[{"sentence1": "A", "sentence2": "B"}]'])
def test_a_bad_record_is_named_by_its_place(text, tmp_path):
    row, error = problem(write(tmp_path / "a.json", text), "klue-sts")
    assert row == 1
    assert error.where.endswith("a.json, row 1")


@pytest.mark.parametrize("text", ["[", '[{"a":'])
def test_torn_json_is_named(text, tmp_path):
    with pytest.raises(DataError, match="no JSON"):
        open_table(SourceSpec(source=str(write(tmp_path / "a.json", text)), format="klue-sts"))


def test_a_torn_gzip_file_is_named(tmp_path):
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"[]" * 100)[:-12])
    with pytest.raises(DataError, match="cannot read this file"):
        open_table(SourceSpec(source=str(tmp_path / "a.json.gz"), format="klue-sts"))


def test_settings_that_the_format_settles_are_refused(tmp_path):
    path = write(tmp_path / "a.tsv", KORSTS_HEAD)
    with pytest.raises(DataError, match="settles header"):
        open_table(SourceSpec(source=str(path), format="korsts", header=True))


def test_a_byte_order_mark_and_windows_lines_change_nothing(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + (KORSTS_HEAD + "m\tf\t2\t1\t5\tA\tB\n").replace("\n", "\r\n").encode())
    assert values(path, "korsts") == [("A", "B", 1.0)]


def test_an_empty_file_has_no_rows(tmp_path):
    path = write(tmp_path / "a.tsv", "")
    assert BenchmarkTable(path, SourceSpec(source=str(path), format="kornli")).first is None


def test_sentences_labelled_tasks_and_evaluation_sets_need_no_columns(tmp_path):
    nsmc = write(tmp_path / "a.txt", "id\tdocument\tlabel\n1\t좋다\t1\n2\t나쁘다\t0\n")
    examples, labels = read_text_examples(SourceSpec(source=str(nsmc), format="nsmc"), task="classification", counts=Counter())
    assert (examples.text, labels.names, examples.labels.tolist()) == (["좋다", "나쁘다"], ("negative", "positive"), [1, 0])
    nli = tmp_path / "nli.json"
    write_benchmark(nli, "klue-nli", [("A", "B", "neutral"), ("C", "D", "entailment")])
    pairs, labels = read_text_examples(SourceSpec(source=str(nli), format="klue-nli"), task="classification", counts=Counter())
    assert (pairs.text_pair, labels.names) == (["B", "D"], ("entailment", "neutral"))
    sts = tmp_path / "sts.csv"
    write_benchmark(sts, "stsb", [("A", "B", 0.5), ("C", "D", 1.0)], layout=1)
    assert not next(csv.reader(sts.open()))[0].startswith("sentence")
    spec = EvaluationSpec(source=str(sts), format="stsb")
    assert check_source(spec) == []
    assert read_pairs(spec, on_bad_row="error", counts=Counter()).scores.tolist() == [0.5, 1.0]
    train = SourceSpec(source=str(sts), format="stsb")
    assert list(read_sentences(train, on_bad_row="error", counts=Counter())) == ["A", "B", "C", "D"]
