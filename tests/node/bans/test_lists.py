"""Tests of `penstock.node.bans.lists`."""

import pytest

from penstock.base.errors import ConfigurationError
from penstock.node.bans.lists import MISTAKES, read_lists, stamps
from penstock.policy.ranges import address_number

TEXT = b"""# bad people
192.0.2.0/24 ; a whole network
198.51.100.7
  203.0.113.9/28\t# bits behind the length are ignored

2001:db8::/32
::ffff:10.1.2.3
2001:DB9::1
"""


def test_a_list_holds_what_it_lists(tmp_path):
    """Comments, blanks, both families, mapped addresses: each line is its network."""
    (tmp_path / "x").write_bytes(TEXT)
    (found,) = read_lists([(str(tmp_path / "x"), "bad")])
    assert (len(found), found.reason) == (6, "bad")
    for host, listed in {
        "192.0.2.255": True, "192.0.3.0": False, "198.51.100.7": True, "198.51.100.8": False, "203.0.113.0": True,
        "203.0.113.16": False, "2001:db8:ffff::1": True, "2001:db9::1": True, "2001:db9::2": False, "10.1.2.3": True,
    }.items():  # fmt: skip
        assert found.holds(address_number(host)) == listed, host


def test_every_mistake_is_told_with_its_line_and_no_more_than_a_screenful(tmp_path):
    """All files are looked at before anything is said; a file of nonsense is not told line by line."""
    (tmp_path / "a").write_text("10.0.0.0/8\nexample.org\n10.0.0.0/33\n0.0.0.0/0\n" + "x" * 500 + "\n")
    (tmp_path / "b").write_text("nonsense\n" * 100)
    with pytest.raises(ConfigurationError) as error:
        read_lists([(str(tmp_path / name), "") for name in "abc"])
    told = error.value.mistakes
    assert told[0].startswith(f"{tmp_path}/a:2: 'example.org': no address and no network")
    assert told[1].startswith(f"{tmp_path}/a:3: '10.0.0.0/33'")
    assert told[2] == f"{tmp_path}/a:4: '0.0.0.0/0': would ban everybody"
    assert told[3].startswith(f"{tmp_path}/a:5: 'xxx")
    assert len(told[3]) < 250
    assert told[4 + MISTAKES] == f"{tmp_path}/b: and {100 - MISTAKES} more of them"
    assert told[-1] == f"blocklist: {tmp_path}/c: no such file"


def test_a_file_that_changed_has_another_stamp(tmp_path):
    """Nobody reads a million lines again for nothing."""
    (tmp_path / "x").write_text("192.0.2.1\n")
    lists = [(str(tmp_path / "x"), "bad"), (str(tmp_path / "missing"), "bad")]
    before = stamps(lists)
    assert stamps(lists) == before
    (tmp_path / "x").write_text("192.0.2.1\n192.0.2.2\n")
    assert stamps(lists) != before
