from tests.synth.written import read


def test_crm_rows_hold_plausible_values(everything):
    _, out, _ = everything
    crm = read(out, "crm")
    assert crm["age"].dropna().between(18, 95).all()
    assert 0 < crm["age"].isna().mean() < 0.05
    assert crm["customer_id"].is_unique
    assert 0.85 < len(crm) / 2_000 < 0.95
    assert crm["region"].nunique() == 5
