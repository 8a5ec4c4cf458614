"""What the keys of ACME mean together: each rule alone, and none of them about what is unknown."""

import pytest

from penstock.config.model import Config
from penstock.config.rules import check
from penstock.config.table import HOLE

WEB = {"name": "web", "protocol": "tls", "listen": ":443", "targets": ["a:1"], "acme": True}
PLAIN = {"name": "plain", "protocol": "http", "listen": ":80", "reverse": True, "targets": ["a:1"]}
SOUND = {"domains": ["a.example.com"], "agree_to_terms": True}


def wrong(acme, *listeners):
    """Return the mistakes of a configuration, as pairs of key and explanation."""
    config = Config.model_validate({"acme": acme, "listener": list(listeners)})
    return [(mistake.key, mistake.what) for mistake in check(config)]


def test_a_right_configuration_has_no_mistakes():
    """Challenges are answered by a listener of the node's own, by one that is named, or in TLS."""
    assert wrong(SOUND, WEB) == []
    assert wrong({**SOUND, "http_listener": "plain"}, WEB, PLAIN) == []
    assert wrong({**SOUND, "http_listen": ":8080"}, WEB, PLAIN) == []
    assert wrong({**SOUND, "challenge": "tls-alpn-01"}, WEB, PLAIN) == []
    assert wrong({}, PLAIN) == []


@pytest.mark.parametrize(
    ("acme", "listeners", "key", "what"),
    [
        ({"domains": ["a.b"]}, [WEB], ("acme", "agree_to_terms"), "must be true"),
        (SOUND | {"eab_kid": "k"}, [WEB], ("acme", "eab_key_file"), "missing: eab_kid has both"),
        (SOUND | {"eab_key_file": "k"}, [WEB], ("acme", "eab_kid"), "missing: eab_key_file has both"),
        (SOUND, [PLAIN | {"listen": ":8080"}], ("acme", "domains"), "no listener serves"),
        ({}, [WEB], ("listener", 0, "acme"), "names no domains"),
        ({"agree_to_terms": True}, [PLAIN], ("acme", "domains"), "missing"),
        (SOUND, [WEB, PLAIN | {"acme": True, "listen": ":1"}], ("listener", 1, "acme"), "only a tls listener"),
        (SOUND, [WEB, PLAIN], ("acme", "http_listen"), "listener plain takes [::]:80 already"),
        (SOUND | {"http_listen": "127.0.0.1:443"}, [WEB], ("acme", "http_listen"), "listener web takes"),
        (SOUND | {"http_listener": "nobody"}, [WEB], ("acme", "http_listener"), "no such listener"),
        (SOUND | {"http_listener": "web"}, [WEB], ("acme", "http_listener"), "reverse = true"),
        (SOUND | {"http_listener": "plain", "http_listen": ":81"}, [WEB, PLAIN], ("acme", "http_listen"), "already"),
        (
            SOUND | {"http_listener": "plain", "challenge": "tls-alpn-01"},
            [WEB, PLAIN],
            ("acme", "http_listener"),
            "is for http-01",
        ),
        (SOUND | {"domains": ["a.b", ["c.d", "a.b"]]}, [WEB], ("acme", "domains", 1), "in certificate 1 too"),
        (SOUND | {"domains": [f"n{each}.b" for each in range(101)]}, [WEB], ("acme", "domains"), "101 certificates"),
    ],
)
def test_each_mistake_is_told(acme, listeners, key, what):
    """With its key, once."""
    found = wrong(acme, *listeners)
    assert len(found) == 1
    assert found[0][0] == key
    assert what in found[0][1]


@pytest.mark.parametrize("key", ["domains", "agree_to_terms", "challenge", "http_listener", "http_listen"])
def test_what_is_unknown_is_no_mistake(key):
    """A hole is judged by nobody."""
    assert wrong(SOUND | {key: HOLE}, WEB) == []


def test_a_tls_listener_that_waits_for_acme_needs_no_file():
    """Without either, a certificate is missing."""
    assert wrong(SOUND, WEB) == []
    (found,) = wrong({}, WEB | {"acme": False})
    assert found[0] == ("listener", 0, "certificates")
