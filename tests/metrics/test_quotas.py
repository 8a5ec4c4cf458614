"""Quotas, as they are published."""

from penstock.metrics.quotas import QuotaFigures, QuotasView


def test_nobody_has_a_quota_until_somebody_says_so():
    """A view of nothing has no figures; those that it has say whose they are."""
    assert QuotasView() == QuotasView((), (), 0, 0)
    assert QuotaFigures("app", 9, 3)._asdict() == {"name": "app", "size": 9, "used": 3}
