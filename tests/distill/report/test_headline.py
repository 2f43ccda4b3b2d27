"""The headline's rules, against values worked out by hand from the synthetic run."""

import pytest

from distill.report.model import build_report
from distill.report.tables import latency_table, loading_table, models_table
from distill.report.words import speaking


def fail(run, *names):
    for name in names:
        run.parity["models"][name]["passed"] = False


def test_best_is_the_int8_file(run):
    head = build_report(run.write()).headline
    assert (head.best, head.task, head.metric) == ("fast", "sts-test", "spearman_cosine")
    assert head.retained == pytest.approx(0.976716, abs=1e-6)  # 80.12 / 82.03
    assert head.smaller == pytest.approx(5.194286, abs=1e-6)  # 90.9 / 17.5
    assert head.faster == pytest.approx(9.0)  # 14.4 / 1.6
    assert head.notes == ()


def test_a_failed_int8_file_gives_way_to_the_faithful_one(run):
    fail(run, "fast")
    head = build_report(run.write()).headline
    assert head.best == "faithful"
    assert head.smaller == pytest.approx(4.488889, abs=1e-6)  # 90.9 / 20.25
    assert head.faster == pytest.approx(6.857143, abs=1e-6)  # 14.4 / 2.1


def test_then_to_fp32(run):
    fail(run, "fast", "faithful")
    assert build_report(run.write()).headline.best == "fp32"


def test_a_failed_fp32_file_takes_those_made_from_it_along(run):
    """int8 close to a wrong fp32 graph proves nothing about the student."""
    fail(run, "fp32")
    report = build_report(run.write())
    assert report.headline.best is None
    assert report.headline.retained is report.headline.smaller is report.headline.faster is None
    assert "no exported file passed" in report.headline.notes[0]
    assert "reference 'fp32' failed" in report.model("fast").note
    assert report.summary == "No exported file passed its gate."


def test_references_in_a_circle_end(run):
    run.parity["models"]["fp32"]["reference"] = "fast"
    assert build_report(run.write()).headline.best == "fast"


def test_the_first_evaluation_set_counts(run):
    run.recipe["data"]["evaluate"] = {"zeta": {}, "sts-test": {}}
    run.quality["tasks"]["zeta"] = {"kind": "sts", "metric": "spearman_cosine", "n": 10}
    for name, value in (("teacher", 0.5), ("fast", 0.4)):
        run.quality["models"][name]["zeta"] = {"value": value, "n": 10}
    head = build_report(run.write()).headline
    assert (head.task, head.retained) == ("zeta", pytest.approx(0.8))


def test_without_labelled_sets_agreement_counts(run):
    run.recipe["data"]["evaluate"] = {}
    for found in run.quality["models"].values():
        for task in [task for task in found if task != "agreement"]:
            del found[task]
    report = build_report(run.write())
    assert report.headline.task == "agreement"
    assert report.headline.retained == pytest.approx(0.9502)
    assert "agrees with the teacher to 95.0 %" in report.summary


def test_a_labelled_set_that_came_from_python_counts(run):
    """The recipe does not name it: what was evaluated tells of it."""
    named = build_report(run.write()).headline
    run.recipe["data"]["evaluate"] = {}
    assert build_report(run.write()).headline == named
    assert named.task != "agreement"


@pytest.mark.parametrize("who", ["teacher", "fast"])
def test_no_speed_without_the_headline_cell(run, who):
    run.variant(who)["latency"] = [row for row in run.variant(who)["latency"] if row["batch"] != 1]
    head = build_report(run.write()).headline
    assert head.faster is None
    assert "was not timed at batch 1, sequence 32, 1 thread" in head.notes[0]


def test_a_disturbed_measurement_is_told(run):
    run.variant("teacher")["latency"][0]["noisy"] = True
    assert "disturbed machine" in build_report(run.write()).headline.notes[0]


def test_a_teacher_without_quality_gives_no_share(run):
    run.quality["models"]["teacher"] = {}
    head = build_report(run.write()).headline
    assert head.retained is None
    assert "no positive value on sts-test" in head.notes[0]
    assert head.faster == pytest.approx(9.0)


def test_an_unmeasured_quality_is_told(run):
    del run.quality["models"]["fast"]["sts-test"]
    assert "quality of 'fast' on sts-test was not measured" in build_report(run.write()).headline.notes[0]


def test_an_unknown_size_is_told(run):
    run.variant("fast")["file_mb"] = None
    head = build_report(run.write()).headline
    assert head.smaller is None
    assert "file size of 'fast'" in head.notes[0]


def test_slower_and_larger_are_said_as_they_are(run):
    run.variant("fast")["latency"][0]["p50_ms"] = 28.8
    run.variant("fast")["file_mb"] = 181.8
    assert "2.0 times larger and 2.0 times slower" in build_report(run.write()).summary


def test_several_teachers_are_told_as_one(run):
    """Rows and notes say of how many models the teacher's numbers are; a run that measured the first alone says that."""
    run.recipe["teacher"]["others"] = [{"model": "b"}, {"model": "c"}]
    assert "all-MiniLM-L6-v2 alone" in build_report(run.write()).headline.notes[0]
    run.measure["variants"][0]["models"] = 3
    report = build_report(run.write())
    assert "parameters, file and speed are those of all, run one after the other" in report.headline.notes[0]
    for table in (models_table(report), latency_table(report), loading_table(report)):
        assert table.rows[0][0] == "teacher (3 models)"
        assert any(note.startswith("teacher (3 models): parameters and MB are sums") for note in table.notes)
        assert "models" not in table.rows[-1][0]
    with speaking("ko"):
        assert models_table(report).rows[0][0] == "teacher (모델 3개)"
