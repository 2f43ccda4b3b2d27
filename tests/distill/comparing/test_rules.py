"""The limits: how they are spelled, and what decides."""

import pytest

from distill.comparing.rules import check_drop, latency_rule, quality_rule, read_share
from distill.comparing.schema import PairedScore, Ratio, RunSummary
from distill.errors import UserError

RUN = RunSummary(label="new", state="compared", model="fast")


def drop(value, ci95=None, limit=0.01, decide="estimate"):
    ends = None if ci95 is None else (-ci95[1], -ci95[0])
    found = PairedScore(run="new", task="sts", metric="spearman_cosine", difference=-value, ci95=ends, n=1379)
    return quality_rule(RUN, found, "sts", "sts", limit, decide)


@pytest.mark.parametrize(
    ("text", "value"), [("10%", 0.1), ("0.1", 0.1), (" 12.5 % ", 0.125), ("150%", 1.5), (0.2, 0.2), ("0", 0)]
)
def test_shares(text, value):
    assert read_share(text, "--x") == pytest.approx(value)


@pytest.mark.parametrize("text", ["10", "ten", "", "-5%", "nan", "inf", "1e999%", "10 percent", "1.0"])
def test_what_is_no_share(text):
    with pytest.raises(UserError, match="no share"):
        read_share(text, "--x")


@pytest.mark.parametrize("value", [-0.01, 1.0, 2, float("nan"), float("inf")])
def test_what_is_no_drop(value):
    with pytest.raises(UserError, match="metric's own unit"):
        check_drop(value, "--x")


@pytest.mark.parametrize(
    ("value", "ci95", "decide", "passed", "settled"),
    [
        (0.020, (0.013, 0.027), "estimate", False, True),
        (0.020, (0.005, 0.035), "estimate", False, False),
        (0.000, (0.0, 0.0), "estimate", True, True),
        (-0.01, (-0.02, 0.005), "estimate", True, True),
        (0.005, (-0.01, 0.02), "estimate", True, False),
        (0.005, (-0.01, 0.02), "bound", False, False),
        (0.005, (0.001, 0.009), "bound", True, True),
        (0.005, None, "estimate", True, False),
        (0.005, None, "bound", False, False),
        (0.010, (0.008, 0.010), "estimate", True, True),
    ],
)
def test_what_decides(value, ci95, decide, passed, settled):
    found = drop(value, ci95, decide=decide)
    assert (found.passed, found.settled) == (passed, settled)
    assert "\n" not in found.sentence


def test_the_sentence_says_it_all():
    assert drop(0.0213, (0.0151, 0.0277)).sentence == (
        "new: Spearman of cosine on sts fell by 0.0213 (n = 1,379, 95% interval of the drop 0.0151 to 0.0277); "
        "more than the 0.01 allowed"
    )
    assert "rose by 0.0100" in drop(-0.01).sentence
    assert "did not change" in drop(0.0, (0.0, 0.0)).sentence
    assert "but the interval reaches across the limit" in drop(0.02, (0.0, 0.04)).sentence


def test_latency():
    def rule(ratio, ci95=None, noisy=False):
        return latency_rule(RUN, Ratio(run="new", latency=ratio, ci95=ci95, noisy=noisy), 0.1, "estimate")

    assert rule(1.05, (1.0, 1.09)).passed
    assert not rule(1.15, (1.12, 1.2)).passed
    assert rule(0.5).passed
    assert "disturbed" in rule(1.2, noisy=True).sentence
    assert "+15.0 %, 95% interval +12.0 % to +20.0 %; more than the 10 % allowed" in rule(1.15, (1.12, 1.2)).sentence


def test_a_run_without_a_model_or_a_number_fails():
    nothing = RunSummary(label="new", state="compared", reason="no exported file passed its parity gate")
    for rule in (quality_rule(nothing, None, "sts", "sts", 0.01, "estimate"), latency_rule(nothing, None, 0.1, "estimate")):
        assert not rule.passed
        assert "parity gate" in rule.sentence
    assert not latency_rule(RUN, Ratio(run="new"), 0.1, "estimate").passed
