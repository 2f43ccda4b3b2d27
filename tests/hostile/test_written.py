"""What is written for people to open: no cell of it is a formula."""

from __future__ import annotations

import csv
import io

import pytest

from distill.report.samples import samples_csv


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])
def test_a_name_is_no_formula(name):
    rows = list(csv.reader(io.StringIO(samples_csv([(name, 1, 32, 1, 1, 0.5)]), newline="")))
    assert rows[1][0] == f"'{name}".replace("\r", " ")
    assert rows[1][1:] == ["1", "32", "1", "1", "0.5"]


def test_other_names_stay_as_they_are():
    assert samples_csv([("fp32", 1, 32, 1, 1, 0.5)]).splitlines()[1] == "fp32,1,32,1,1,0.5"
