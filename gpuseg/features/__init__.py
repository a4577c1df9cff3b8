"""Behavioural features as declarations: one file a family, one row a family in the registry."""
