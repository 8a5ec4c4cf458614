"""Clients that are closed at the entrance, in the access log: the first of each second, and the others as a sum."""

import json

from penstock.base.addresses import pack_ip
from penstock.dataplane.access_file import AccessFile
from penstock.dataplane.entrance import REFUSE_BAN, REFUSE_IP, REFUSE_RATE
from penstock.dataplane.refusals import LINES, Refusals
from penstock.testing.workbench import listener


def told(path, refusals, *outcomes):
    """Tell of clients with these outcomes, and return the lines of that second."""
    before = path.read_bytes().count(b"\n")
    for number, outcome in enumerate(outcomes):
        refusals.tell(listener("main"), pack_ip(f"192.0.2.{number % 250}"), outcome)
    refusals.sum_up()
    refusals._file.flush()
    return [json.loads(line) for line in path.read_bytes().splitlines()[before:]]


def test_the_first_are_told_and_the_others_counted(tmp_path):
    """In a second ten clients have lines with their reason; 5,000 others have one with counts; nobody is left out."""
    file = AccessFile(str(tmp_path / "log"))
    refusals = Refusals(file)
    found = told(tmp_path / "log", refusals, *[REFUSE_RATE] * LINES, *[REFUSE_BAN] * 3_000, *[REFUSE_IP] * 2_000)
    assert len(found) == LINES + 1
    assert {(each["listener"], each["ended_by"], each["phase"], each["reason"]) for each in found[:-1]} == {
        ("main", "proxy", "negotiate", "rate_limit")
    }
    assert [each["client"] for each in found[:2]] == ["192.0.2.0", "192.0.2.1"]
    assert (found[-1]["refused"], found[-1]["reasons"]) == (5_000, {"ban": 3_000, "ip_limit": 2_000})
    file.close()


def test_each_second_begins_anew(tmp_path):
    """What was counted is told once, and the next second has lines of its own; who has no address is a dash."""
    file = AccessFile(str(tmp_path / "log"))
    refusals = Refusals(file)
    assert len(told(tmp_path / "log", refusals, *[REFUSE_BAN] * (LINES + 2))) == LINES + 1
    assert [each["reason"] for each in told(tmp_path / "log", refusals, REFUSE_IP)] == ["ip_limit"]
    assert told(tmp_path / "log", refusals) == []
    refusals.tell(listener("main"), bytes(16), REFUSE_IP)
    file.flush()
    assert json.loads((tmp_path / "log").read_bytes().splitlines()[-1])["client"] == "-"
    file.close()
