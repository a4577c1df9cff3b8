"""The starter configuration that `gpuseg init` writes."""

from pathlib import Path

from gpuseg.errors import ConfigError
from gpuseg.workspace.files import write_text

NAME = "gpuseg.yaml"

STARTER = """\
# gpuseg configuration. Relative paths start at this file's folder.
# `gpuseg config schema` lists every key; `gpuseg run {name}` runs it.
version: 1

run:
  name: shop                      # shown in the report
  out: runs/shop                  # results go here, a new version each time
  as_of: 2026-01-01               # look at events before this day (exclusive)
  timezone: UTC                   # zone in which days are counted, such as America/New_York
  seed: 0                         # equal seeds and data give equal segments

sources:
  - name: orders
    kind: purchases
    uri: "data/orders*.csv"       # a path, a glob or a URL; CSV, JSON lines, Parquet or Arrow
    timezone: UTC                 # zone of times that carry none
    columns:                      # left: gpuseg's names, right: your file's
      profile_id: customer_id     # the person; numbers or text
      at: ordered_at              # when, as 2025-12-31 23:59:59 or with a zone
      amount: line_total          # money of the line, negative for a refund
      order_id: order_number      # leave out if there is none
      category: department        # leave out if there is none
    purpose: segmentation         # recorded with the run
    lawful_basis: legitimate_interests

  # People you know besides their purchases; one row each. Remove the # to use it.
  # - name: customers
  #   kind: crm
  #   uri: "data/customers.csv"
  #   columns: {{profile_id: customer_id, age_band: age_band, region: region}}
  #   consent_column: may_use       # who does not say yes there is left out everywhere

  # Visits, feedback, social activity and campaigns; docs/sources.md has all columns and words.
  # - {{name: visits, kind: web, uri: "data/visits*.jsonl", columns: {{profile_id: user, at: ts, event: event}}}}
  # - {{name: reviews, kind: feedback, uri: "data/reviews.csv", columns: {{profile_id: user, at: ts, rating: stars}}}}
  # - {{name: posts, kind: social, uri: "data/posts.csv", columns: {{profile_id: user, at: ts, action: action}}}}
  # - {{name: mails, kind: crm, uri: "data/mails.csv", columns: {{profile_id: user, at: ts, event: event}}}}

features:
  windows_days: [30, 90, 365]
  # families: [rfm, tempo, interests]   # left out: every family whose source is there, but for attributes

quality:
  max_null_share: 0.05            # a run fails where an optional column has more nulls than this

cluster:
  method: kmeans                  # or hierarchical: any number of segments later, by `gpuseg cut`; or hdbscan: dense
                                  # groups of any shape, and whoever is between them in none; or rules: your own
  segments: auto                  # or a number, with kmeans and hierarchical

privacy:
  group_floor: 10                 # segments of fewer customers are not described
  deny_columns: []                # columns that are never read
"""


def write_starter(folder: Path) -> Path:
    """Write the starter configuration into a folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ConfigError
        If the file is there already.
    """
    path = folder / NAME
    if path.exists():
        raise ConfigError(f"{path}: is there already; move it away or edit it")
    write_text(path, STARTER.format(name=NAME))
    return path
