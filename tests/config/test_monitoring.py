"""The older section: its keys under their present names, and what is told of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ConfigurationError
from penstock.config.load import load
from penstock.config.model import Monitoring
from penstock.config.monitoring import NAMES, OFF, STATS, Renamed, differs, notice, renamed
from penstock.config.one_shot import one_shot
from penstock.config.translate import table_of

HEAD = '[[listener]]\nlisten = "127.0.0.1:8001"\nprotocol = "http"\n'


def planned(tmp_path, text, environ=None):
    """The plan of a file with one listener."""
    (tmp_path / "p.toml").write_text(HEAD + text)
    return load("p.toml" if environ is None else str(tmp_path / "p.toml"), environ=environ or {}, cwd=tmp_path)


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    """Every test has its own directory, so that places are short."""
    monkeypatch.chdir(tmp_path)


def test_names_lead_from_keys_that_are_accepted_to_keys_that_there_are():
    """Every older key is one that the model accepts, and stands for keys of the present."""
    assert {*NAMES, STATS} == set(Monitoring.model_fields)
    for section, key in (*NAMES.values(), *OFF):
        assert key in table_of((section,)).model_fields


def test_the_older_section_is_obeyed(tmp_path):
    """Each older key does what its present one does."""
    plan = planned(
        tmp_path,
        '[monitoring]\nenabled = false\nmetrics_addr = "127.0.0.1:9999"\nlog_level = "error"\n'
        "prometheus_enabled = false\nmax_historical_connections = 7\n",
    )
    assert (plan.metrics.enabled, plan.metrics.prometheus, plan.metrics.connection_records) == (False, False, 7)
    assert (plan.admin, plan.log_level) == (("127.0.0.1", 9999), "error")


def test_statistics_of_connections_are_switched_off_together(tmp_path):
    """Without connection statistics no keys and no records are kept, whatever number was asked for beside it."""
    text = "[monitoring]\ncollect_connection_stats = false\nmax_historical_connections = 7\n"
    metrics = planned(tmp_path, text).metrics
    assert (metrics.clients, metrics.users, metrics.destinations, metrics.connection_records) == (0, 0, 0, 0)
    assert metrics.trackers == 1_024
    kept = planned(tmp_path, "[monitoring]\ncollect_connection_stats = true\n").metrics
    assert (kept.clients, kept.connection_records) == (1_000, 10_000)


def test_one_line_says_what_to_write_instead(tmp_path):
    """The plan holds one notice for the section, with file, line and the present spelling of every value."""
    text = '[monitoring]\nenabled = true\nmetrics_addr = ":9100"\n[admin]\ntoken_file = "token"\n'
    (tmp_path / "token").write_text("abc\n")
    assert planned(tmp_path, text).notices == (
        "p.toml:5: monitoring.enabled: [monitoring] is an older section; "
        'write metrics.enabled = true, admin.listen = ":9100" instead',
    )
    assert planned(tmp_path, "[metrics]\nenabled = true\n").notices == ()
    (said,) = planned(tmp_path, "[monitoring]\n").notices
    assert said == "p.toml:4: monitoring: [monitoring] is an older section and says nothing that is not the default"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[monitoring]\nenabled = false\n[metrics]\nenabled = true\n",
            "p.toml:5: monitoring.enabled: says false for metrics.enabled, and metrics.enabled = true stands there "
            "too; keep one",
        ),
        (
            '[monitoring]\nlog_level = "info"\n[log]\nlevel = "error"\n',
            "p.toml:5: monitoring.log_level: says 'info' for log.level, and log.level = 'error' stands there too; "
            "keep one",
        ),
        (
            "[monitoring]\ncollect_connection_stats = false\n[metrics]\nusers = 5\n",
            "p.toml:5: monitoring.collect_connection_stats: says 0 for metrics.users, and metrics.users = 5 stands "
            "there too; keep one",
        ),
    ],
)
def test_two_names_with_two_values_are_a_mistake(tmp_path, text, line):
    """A key that one file gives under both names, with different values, is told with both names and values."""
    with pytest.raises(ConfigurationError) as caught:
        planned(tmp_path, text)
    assert caught.value.mistakes == [line]


def test_two_names_with_one_value_are_none(tmp_path):
    """The same value under both names is no mistake."""
    assert not planned(tmp_path, "[monitoring]\nenabled = false\n[metrics]\nenabled = false\n").metrics.enabled


def test_layers_win_under_either_name(tmp_path):
    """What the environment says wins over the file, whichever of the two names each of them used."""
    newer = {"PENSTOCK__METRICS__ENABLED": "true"}
    assert planned(tmp_path, "[monitoring]\nenabled = false\n", newer).metrics.enabled
    older = {"PENSTOCK__MONITORING__ENABLED": "false"}
    plan = planned(tmp_path, "[metrics]\nenabled = true\n", older)
    assert not plan.metrics.enabled
    assert plan.notices[0].startswith("PENSTOCK__MONITORING__ENABLED: ")
    assert one_shot([{"listen": ":1", "protocol": "http"}], environ=older, flags={"--metrics": True}).metrics.enabled


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('enabled = "yes"', "p.toml:5: monitoring.enabled: 'yes': must be true or false; write true instead"),
        ('metrics_addr = ":99999"', "p.toml:5: monitoring.metrics_addr: ':99999': '99999' is no port from 0 to 65535"),
        (
            "max_historical_connections = 100001",
            "p.toml:5: monitoring.max_historical_connections: 100001: must be a whole number from 0 to 100000",
        ),
        ("collect_connection_stats = 0", "p.toml:5: monitoring.collect_connection_stats: 0: must be true or false; "
         "write false instead"),
        ("max_connections = 5", "p.toml:5: monitoring.max_connections: 5: unknown key"),
    ],
)  # fmt: skip
def test_mistakes_stand_where_they_were_made(tmp_path, text, line):
    """A wrong value of an older key is told under its older name, in the line where it stands."""
    with pytest.raises(ConfigurationError) as caught:
        planned(tmp_path, f"[monitoring]\n{text}\n")
    assert [each[: len(line)] for each in caught.value.mistakes] == [line]


def test_a_section_that_is_no_table_is_a_mistake(tmp_path):
    """Whatever else stands in the place of the section, or of the one that it points to, is told."""
    (tmp_path / "p.toml").write_text("monitoring = 5\n" + HEAD)
    with pytest.raises(ConfigurationError, match="must be a table"):
        load("p.toml", environ={})
    (tmp_path / "p.toml").write_text("metrics = 5\n" + HEAD + "[monitoring]\nenabled = true\n")
    with pytest.raises(ConfigurationError, match="metrics: 5: must be a table"):
        load("p.toml", environ={})


values = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)


@given(st.dictionaries(st.sampled_from([*NAMES, STATS, "x"]), values) | values, values)
def test_anything_may_stand_there(section, other):
    """Any values are renamed, compared and told without an error, and what is told fits a line."""
    found = renamed(section)
    tree = {"metrics": {"enabled": other, "connection_records": other}, "admin": other, "log": {"level": other}}
    for each in found:
        assert isinstance(differs(each, tree), str)
    assert notice(found, "p").isprintable()


def test_logins_are_not_told():
    """A value that looks like a login is hidden, in the notice and in the mistake."""
    found = Renamed("metrics_addr", ("admin", "listen"), "ann:hunter2@host")
    assert "hunter2" not in notice([found], "p") + differs(found, {"admin": {"listen": "bob:hunter2@host"}})
